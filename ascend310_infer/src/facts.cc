// Read the facts from JSON; each is checked like the option that it sets.
#include "inc/facts.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "inc/errors.h"
#include "inc/files.h"
#include "inc/json.h"
#include "inc/text.h"

namespace segment {
namespace {

const char *const kHint = "; correct it as export.py writes it, or remove the file and give options";
constexpr uintmax_t kMostBytes = 1U << 20U;
constexpr size_t kMostClasses = 255;
constexpr size_t kMostLetters = 200;

InputError Wrong(const std::string &path, const std::string &key, const std::string &expected) {
  return InputError(path + ": " + key + " is not " + expected + kHint);
}

// The value of `key`, or null.
const Json *Find(const Json &root, const std::string &key) {
  const Json *value = root.Find(key);
  return value != nullptr && value->kind != Json::Kind::kNull ? value : nullptr;
}

std::optional<int> Integer(const Json &root, const std::string &key, int lowest, int highest, const std::string &path) {
  const Json *value = Find(root, key);
  if (value == nullptr) return {};
  if (value->kind != Json::Kind::kNumber || value->number < lowest || value->number > highest ||
      value->number != std::floor(value->number)) {
    throw Wrong(path, key, "an integer from " + std::to_string(lowest) + " to " + std::to_string(highest));
  }
  return static_cast<int>(value->number);
}

std::optional<std::array<double, 3>> Triple(const Json &root, const std::string &key, double lowest,
                                            const std::string &path) {
  const Json *value = Find(root, key);
  if (value == nullptr) return {};
  const auto usable = [lowest](const Json &item) {
    return item.kind == Json::Kind::kNumber && item.number >= lowest && item.number <= kLargestLevel;
  };
  if (value->kind != Json::Kind::kArray || value->items.size() != 3 ||
      !std::all_of(value->items.begin(), value->items.end(), usable)) {
    throw Wrong(path, key, "three valid numbers for blue, green, red");
  }
  return std::array<double, 3>{value->items[0].number, value->items[1].number, value->items[2].number};
}

// Different names without control characters.
std::vector<std::string> Names(const Json &root, const std::string &path) {
  const Json *value = Find(root, "class_names");
  if (value == nullptr) return {};
  if (value->kind != Json::Kind::kArray || value->items.size() < 2 || value->items.size() > kMostClasses) {
    throw Wrong(path, "class_names", "a list of 2 to 255 texts");
  }
  std::vector<std::string> names;
  for (const Json &item : value->items) {
    if (item.kind != Json::Kind::kText || item.text.find_first_not_of(' ') == std::string::npos ||
        Characters(item.text) > kMostLetters || HasControls(item.text)) {
      throw Wrong(path, "class_names", "a list of texts of up to 200 characters without control characters");
    }
    if (std::find(names.begin(), names.end(), item.text) != names.end()) {
      throw InputError(path + ": the class name '" + item.text + "' occurs twice");
    }
    names.push_back(item.text);
  }
  return names;
}

void CheckText(const Json &root, const std::string &key, const std::string &expected, const std::string &path) {
  const Json *value = Find(root, key);
  if (value == nullptr || (value->kind == Json::Kind::kText && value->text == expected)) return;
  throw InputError(path + ": " + key + " is not " + expected +
                   ", the only one that this program feeds; export the model with it");
}

}  // namespace

Facts ReadFacts(const std::string &mindir_path) {
  Facts facts;
  const std::string path = mindir_path + ".json";
  if (!IsFile(path)) return facts;
  facts.path = path;
  std::error_code status;
  if (std::filesystem::file_size(path, status) > kMostBytes) {
    throw InputError(path + ": larger than 1 MiB" + kHint);
  }
  const Json root = ParseJson(ReadFile(path), path);
  if (root.kind != Json::Kind::kObject) throw Wrong(path, "the content", "an object of facts");
  CheckText(root, "channel_order", "BGR", path);
  CheckText(root, "input_type", "float32", path);
  CheckText(root, "input_format", "NCHW", path);
  facts.num_classes = Integer(root, "num_classes", 2, kMostClasses, path);
  facts.ignore_label = Integer(root, "ignore_label", 0, 255, path);
  facts.mean = Triple(root, "mean", -kLargestLevel, path);
  facts.std = Triple(root, "std", kSmallestStd, path);
  facts.class_names = Names(root, path);
  const size_t count = facts.class_names.size();
  if (count > 0 && facts.num_classes && count != static_cast<size_t>(*facts.num_classes)) {
    throw InputError(path + ": has " + std::to_string(count) + " class_names, but num_classes " +
                     std::to_string(*facts.num_classes) + kHint);
  }
  return facts;
}

void Believe(const Facts &facts, Options *options) {
  const auto is_free = [options](const char *name) { return options->given.count(name) == 0; };
  if (facts.mean && is_free("mean")) options->mean = *facts.mean;
  if (facts.std && is_free("std")) options->std = *facts.std;
  if (facts.ignore_label && is_free("ignore_label")) options->ignore_label = *facts.ignore_label;
}

void CheckClasses(const Facts &facts, const std::string &mindir_path, int classes) {
  const auto said = static_cast<size_t>(facts.num_classes.value_or(static_cast<int>(facts.class_names.size())));
  if (said != 0 && said != static_cast<size_t>(classes)) {
    throw InputError("--mindir_path " + mindir_path + ": has " + std::to_string(classes) + " classes, but " +
                     facts.path + " says " + std::to_string(said) + "; they are not of one export");
  }
}

}  // namespace segment
