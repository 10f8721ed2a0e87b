// Reading and writing of files, and list files as src/data/pictures.py reads them.
#include "inc/files.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "inc/errors.h"

namespace segment {
namespace {

const char *const kBlanks = " \t\v\f\r";

std::string Strip(const std::string &text) {
  const size_t first = text.find_first_not_of(kBlanks);
  return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

bool IsUtf8(const std::string &text) {
  size_t following = 0;
  for (const char character : text) {
    const auto byte = static_cast<unsigned char>(character);
    if (following > 0) {
      if ((byte & 0xC0) != 0x80) return false;
      --following;
    } else if (byte >= 0x80) {
      following = (byte & 0xE0) == 0xC0 ? 1 : (byte & 0xF0) == 0xE0 ? 2 : (byte & 0xF8) == 0xF0 ? 3 : 0;
      if (following == 0) return false;
    }
  }
  return following == 0;
}

// Lines of a text file; \n, \r\n and \r end one.
std::vector<std::string> ReadLines(const std::string &path) {
  std::string text = ReadFile(path);
  if (!IsUtf8(text) || text.find('\0') != std::string::npos) {
    throw InputError(path + ": is not a text file");
  }
  if (text.compare(0, 3, "\xEF\xBB\xBF") == 0) text.erase(0, 3);  // the mark some editors begin with
  for (char &character : text) {
    character = character == '\r' ? '\n' : character;
  }
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    lines.push_back(line);
  }
  return lines;
}

std::vector<std::string> Fields(const std::string &line) {
  std::vector<std::string> fields;
  std::istringstream stream(line);
  if (line.find('\t') != std::string::npos) {
    for (std::string field; std::getline(stream, field, '\t');) fields.push_back(Strip(field));
    if (line.back() == '\t') fields.emplace_back();
  } else {
    for (std::string field; stream >> field;) fields.push_back(field);
  }
  return fields;
}

}  // namespace

std::string Join(const std::string &folder, const std::string &path) {
  return (std::filesystem::path(folder) / path).string();
}

bool IsFile(const std::string &path) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(path, ignored);
}

std::string ReadFile(const std::string &path) {
  std::error_code status;
  if (std::filesystem::is_directory(path, status)) {
    throw InputError(path + ": is a folder");
  }
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::ostringstream bytes;
  if (!file || (file.peek() != std::ifstream::traits_type::eof() && !(bytes << file.rdbuf()))) {
    throw InputError(path + ": " + (errno != 0 ? std::strerror(errno) : "cannot be read"));
  }
  return bytes.str();
}

int FirstByte(const std::string &path) {
  errno = 0;
  std::ifstream stream(path, std::ios::binary);
  if (!stream) throw InputError(path + ": " + (errno != 0 ? std::strerror(errno) : "cannot be read"));
  return stream.get();
}

void WriteFile(const std::string &path, const void *data, size_t size) {
  const std::filesystem::path place(path);
  const std::filesystem::path aside = place.parent_path() / ("." + place.filename().string() + "." +
                                                             std::to_string(getpid()));
  std::error_code status;
  {
    errno = 0;
    std::ofstream file(aside, std::ios::binary);
    file.write(static_cast<const char *>(data), static_cast<std::streamsize>(size));
    file.close();
    if (file) std::filesystem::rename(aside, place, status);
    if (file && !status) return;
  }
  const std::string reason = status ? status.message() : std::strerror(errno);
  std::filesystem::remove(aside, status);
  throw RunError(path + ": cannot be written (" + reason + ")");
}

void WriteFile(const std::string &path, const std::string &text) { WriteFile(path, text.data(), text.size()); }

std::vector<Pair> ReadList(const std::string &path) {
  std::vector<Pair> pairs;
  size_t number = 0;
  for (const std::string &line : ReadLines(path)) {
    ++number;
    if (Strip(line).empty()) continue;
    const std::vector<std::string> fields = Fields(line);
    if (fields.size() != 2 || fields[0].empty() || fields[1].empty()) {
      throw InputError(path + ", line " + std::to_string(number) + ": " + std::to_string(fields.size()) +
                       " fields where 'image mask' is expected; names with blanks are separated by a tab");
    }
    pairs.push_back({fields[0], fields[1]});
  }
  if (pairs.empty()) throw InputError("list file " + path + ": is empty");
  return pairs;
}

std::vector<std::string> ClassNames(size_t count, const std::string &path) {
  std::vector<std::string> names;
  if (!path.empty()) {
    for (const std::string &line : ReadLines(path)) {
      if (!Strip(line).empty()) names.push_back(Strip(line));
    }
    if (names.size() != count) {
      throw InputError("--class_names " + path + ": " + std::to_string(names.size()) + " names for a model with " +
                       std::to_string(count) + " classes");
    }
    return names;
  }
  const std::vector<std::string> voc = {
      "background", "aeroplane",   "bicycle", "bird",  "boat",      "bottle",  "bus",
      "car",        "cat",         "chair",   "cow",   "diningtable", "dog",   "horse",
      "motorbike",  "person",      "pottedplant", "sheep", "sofa",  "train",   "tvmonitor"};
  if (count == voc.size()) return voc;
  for (size_t number = 0; number < count; ++number) names.push_back("class_" + std::to_string(number));
  return names;
}

std::string Stem(const std::string &path) { return std::filesystem::path(path).stem().string(); }

}  // namespace segment
