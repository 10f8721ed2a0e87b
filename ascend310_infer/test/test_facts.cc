// JSON, and the facts beside a MINDIR: valid ones are read, others give an error of one line.
#include <filesystem>

#include "inc/errors.h"
#include "inc/facts.h"
#include "inc/files.h"
#include "inc/json.h"
#include "test/check.h"

namespace {

using segment::InputError;
using segment::Json;

const char *const kWhole = R"({"network": "tiny", "num_classes": 3, "class_names": ["sky", "\u56fe", "old tree"],
 "ignore_label": 7, "crop_size": 65, "mean": [1, 2.5, 3e0], "std": [1, 2, 3], "channel_order": "BGR",
 "recipe": {"base_lr": 0.05, "flip": true, "none": null, "empty": [{}, []]}, "input_type": "float32"})";

std::string Scratch(const std::string &text) {
  const std::string mindir = (std::filesystem::temp_directory_path() / "segment_facts.mindir").string();
  segment::WriteFile(mindir + ".json", text);
  return mindir;
}

std::string FactsError(const std::string &text) {
  const std::string mindir = Scratch(text);
  return Thrown<InputError>([&] { segment::ReadFacts(mindir); });
}

std::string JsonError(const std::string &text) {
  return Thrown<InputError>([&] { segment::ParseJson(text, "x.json"); });
}

void JsonIsRead() {
  const Json root =
      segment::ParseJson(R"( {"a": [1, -2.5e1, "\"\\\/\b\f\n\r\t\u00e4\ud83d\ude00"], "b": {}, "": null} )", "x");
  CHECK(root.kind == Json::Kind::kObject && root.keys.size() == 3 && root.Find("c") == nullptr);
  CHECK(root.Find("a")->items[0].number == 1 && root.Find("a")->items[1].number == -25);
  CHECK(root.Find("a")->items[2].text == "\"\\/\b\f\n\r\t\xC3\xA4\xF0\x9F\x98\x80");
  CHECK(root.Find("b")->kind == Json::Kind::kObject && root.Find("")->kind == Json::Kind::kNull);
  CHECK(segment::ParseJson("true", "x").number == 1 && segment::ParseJson("[]", "x").items.empty());
}

void WrongJsonIsNamed() {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "no value"}, {" \n", "line 2"}, {"{", "no \""}, {"[1", "no ',' or ']'"}, {"[1,]", "no value"},
      {"{\"a\"}", "no ':'"}, {"{\"a\":1,}", "no \""}, {"{\"a\":1 \"b\":2}", "no ',' or '}'"}, {"[1]x", "more after"},
      {"\"a", "without end"}, {"\"a\\", "unknown escape"}, {"\"\\x\"", "unknown escape"}, {"\"\\u12", "four"},
      {"\"\\u12g4\"", "four"}, {"\"\\ud800\"", "half a"}, {"\"\\ud800\\u0041\"", "half a"}, {"\"\\udc00\"", "half a"},
      {"\"a\nb\"", "control character"}, {std::string("\"\0\"", 3), "control character"}, {"\xFF", "not UTF-8"},
      {"01", "a number"}, {"1.", "a number"}, {"1e", "a number"}, {"1e999", "a number"}, {"-", "no value"},
      {std::string(5000, '9'), "a number"}, {"NaN", "no value"}, {"{\"a\":1,\"b\":2,\"a\":3}", "twice"},
      {"\xEF\xBB\xBF{}", "no value"}, {"nul", "no value"}, {std::string("\"\\\0\"", 4), "unknown escape"}};
  for (const auto &[text, part] : cases) {
    const std::string message = JsonError(text);
    CHECK(Has(message, part) && Has(message, "x.json") && !Has(message, "\n"));
  }
  CHECK(Has(JsonError("\n\n[\n,"), "x.json, line 4: is not JSON"));
  for (const std::string open : {"[", "{\"a\":"}) {
    std::string deep;
    for (int i = 0; i < 100000; ++i) deep += open;
    CHECK(Has(JsonError(deep), "nested deeper than 32"));
  }
}

void FactsAreRead() {
  const segment::Facts facts = segment::ReadFacts(Scratch(kWhole));
  CHECK(facts.num_classes == 3 && facts.class_names == (std::vector<std::string>{"sky", "\xE5\x9B\xBE", "old tree"}));
  CHECK(facts.ignore_label == 7 && (*facts.mean)[1] == 2.5 && (*facts.std)[2] == 3);
  const segment::Facts nothing = segment::ReadFacts(Scratch("{\"mean\": null}"));
  CHECK(!nothing.num_classes && !nothing.mean && !nothing.ignore_label && nothing.class_names.empty());
  CHECK(segment::ReadFacts("/no/model.mindir").path.empty());
}

void TheCommandLineWins() {
  const segment::Facts facts = segment::ReadFacts(Scratch(kWhole));
  segment::Options free;
  segment::Believe(facts, &free);
  CHECK(free.ignore_label == 7 && free.mean[0] == 1 && free.std[1] == 2);
  segment::Options given = segment::ParseOptions({"--mindir_path=m", "--dataset_path=d", "--image_list=l",
                                                  "--ignore_label=255", "--mean=4,5,6"});
  segment::Believe(facts, &given);
  CHECK(given.ignore_label == 255 && given.mean[0] == 4 && given.std[1] == 2);
  segment::Believe(segment::ReadFacts("/no/model.mindir"), &free);
  CHECK(free.ignore_label == 7 && free.mean[0] == 1);
}

void WrongFactsAreNamed() {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"[]", "the content is not an object"},
      {"{\"num_classes\": 1}", "num_classes is not an integer from 2 to 255"},
      {"{\"num_classes\": 2.5}", "num_classes"}, {"{\"num_classes\": \"6\"}", "num_classes"},
      {"{\"num_classes\": 1e30}", "num_classes"}, {"{\"ignore_label\": -1}", "ignore_label"},
      {"{\"ignore_label\": true}", "ignore_label"}, {"{\"mean\": 1}", "mean is not three valid numbers"},
      {"{\"mean\": [1, 2]}", "mean"}, {"{\"mean\": [1, 2, \"3\"]}", "mean"}, {"{\"mean\": [1, 2, 1e300]}", "mean"},
      {"{\"std\": [1, 0, 1]}", "std is not three valid numbers"}, {"{\"std\": {\"a\": 1, \"b\": 1, \"c\": 1}}", "std"},
      {"{\"class_names\": \"ab\"}", "class_names is not a list"}, {"{\"class_names\": [\"a\"]}", "class_names"},
      {"{\"class_names\": [\"a\", 1]}", "class_names"}, {"{\"class_names\": [\"a\", \" \"]}", "class_names"},
      {"{\"class_names\": [\"a\", \"b\\u0007\"]}", "class_names"},
      {"{\"class_names\": [\"a\", \"\\u009b\"]}", "class_names"},
      {"{\"class_names\": [\"a\", \"" + std::string(201, 'x') + "\"]}", "class_names"},
      {"{\"class_names\": [\"a\", \"a\"]}", "the class name 'a' occurs twice"},
      {"{\"class_names\": [\"a\", \"b\"], \"num_classes\": 3}", "has 2 class_names, but num_classes 3"},
      {"{\"channel_order\": \"RGB\"}", "channel_order is not BGR"},
      {"{\"input_type\": \"uint8\"}", "input_type is not float32"},
      {"{\"input_format\": \"NHWC\"}", "input_format is not NCHW"},
      {std::string((1U << 20U) + 1, ' '), "larger than 1 MiB"}};
  for (const auto &[text, part] : cases) {
    const std::string message = FactsError(text);
    CHECK(Has(message, part) && Has(message, "segment_facts.mindir.json") && !Has(message, "\n"));
  }
}

void ClassesAreCompared() {
  const segment::Facts facts = segment::ReadFacts(Scratch("{\"class_names\": [\"a\", \"b\"]}"));
  segment::CheckClasses(facts, "m", 2);
  segment::CheckClasses({}, "m", 6);
  CHECK(Has(Thrown<InputError>([&] { segment::CheckClasses(facts, "m", 3); }), "m: has 3 classes, but "));
}

}  // namespace

Tests FactsTests() {
  return {{"JSON is read", JsonIsRead},           {"wrong JSON is named", WrongJsonIsNamed},
          {"facts are read", FactsAreRead},       {"the command line wins", TheCommandLineWins},
          {"wrong facts are named", WrongFactsAreNamed}, {"classes are compared", ClassesAreCompared}};
}
