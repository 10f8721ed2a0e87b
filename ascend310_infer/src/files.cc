// Reading and writing files; list files are read as in src/data/lists.py.
#include "inc/files.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "inc/errors.h"
#include "inc/text.h"

namespace segment {
namespace {

const char *const kBlanks = " \t\r";  // between the fields of a line; other blanks belong to names

std::string Strip(const std::string &text) {
  const size_t first = text.find_first_not_of(kBlanks);
  return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

// Lines of a text file; \n, \r\n and \r end one. File names are bytes, of any encoding or none; other text is UTF-8.
std::vector<std::string> ReadLines(const std::string &path, bool holds_names) {
  std::string text = ReadFile(path);
  const bool is_utf16 = text.compare(0, 2, "\xFF\xFE") == 0 || text.compare(0, 2, "\xFE\xFF") == 0;
  if (is_utf16 || text.find('\0') != std::string::npos || (!holds_names && !IsUtf8(text))) {
    throw InputError(path + ": is not a text file, or of another encoding; save it as UTF-8");
  }
  if (text.compare(0, 3, "\xEF\xBB\xBF") == 0) text.erase(0, 3);  // some editors write a byte order mark
  std::vector<std::string> lines(1);
  for (size_t place = 0; place < text.size(); ++place) {
    if (text[place] != '\n' && text[place] != '\r') {
      lines.back() += text[place];
    } else {
      if (text.compare(place, 2, "\r\n") == 0) ++place;
      lines.emplace_back();
    }
  }
  return lines;
}

// The fields of a line, separated by tabs if it has any, else by blanks.
std::vector<std::string> Fields(const std::string &line) {
  const char separator = line.find('\t') != std::string::npos ? '\t' : ' ';
  std::vector<std::string> fields;
  std::istringstream stream(line);
  for (std::string field; std::getline(stream, field, separator);) {
    if (separator == '\t' || !field.empty()) fields.push_back(Strip(field));
  }
  return fields;
}

// Throws InputError for an existing path that is not a file: reading a pipe could wait for ever.
void CheckRegular(const std::string &path) {
  std::error_code ignored;
  const std::filesystem::file_status status = std::filesystem::status(path, ignored);
  if (std::filesystem::is_directory(status)) throw InputError(path + ": is a folder");
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
    throw InputError(path + ": is a device or a pipe, not a file");
  }
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
  CheckRegular(path);
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::ostringstream bytes;
  if (!file || (file.peek() != std::ifstream::traits_type::eof() && !(bytes << file.rdbuf()))) {
    throw InputError(path + ": " + (errno != 0 ? std::strerror(errno) : "cannot be read"));
  }
  return bytes.str();
}

int FirstByte(const std::string &path) {
  CheckRegular(path);
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
  for (const std::string &line : ReadLines(path, true)) {
    ++number;
    const std::vector<std::string> fields = Fields(Strip(line));
    if (fields.empty()) continue;
    if (fields.size() != 2 || fields[0].empty() || fields[1].empty()) {
      throw InputError(path + ", line " + std::to_string(number) + ": " + std::to_string(fields.size()) +
                       " fields where 'image mask' is expected; names with blanks are separated by a tab");
    }
    pairs.push_back({fields[0], fields[1]});
  }
  if (pairs.empty()) throw InputError("list file " + path + ": is empty");
  return pairs;
}

std::vector<std::string> ClassNames(size_t count, const std::string &path, const std::vector<std::string> &known) {
  std::vector<std::string> names;
  if (!path.empty()) {
    for (const std::string &line : ReadLines(path, false)) {
      if (!Strip(line).empty()) names.push_back(Strip(line));
    }
    if (names.size() != count) {
      throw InputError("--class_names " + path + ": " + std::to_string(names.size()) + " names for a model with " +
                       std::to_string(count) + " classes");
    }
    return names;
  }
  if (known.size() == count) return known;
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
