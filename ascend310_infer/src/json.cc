// OpenCV's parser (cv::FileStorage) is not used: it ends the process on deep nesting and knows neither null nor \u.
#include "inc/json.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <sstream>

#include "inc/errors.h"
#include "inc/text.h"

namespace segment {
namespace {

constexpr int kDeepest = 32;
constexpr size_t kLongestNumber = 64;

std::string ToUtf8(uint32_t code) {
  const auto following = [code](int shift) { return static_cast<char>(0x80 | ((code >> shift) & 0x3F)); };
  if (code < 0x80) return {static_cast<char>(code)};
  if (code < 0x800) return {static_cast<char>(0xC0 | (code >> 6)), following(0)};
  if (code < 0x10000) return {static_cast<char>(0xE0 | (code >> 12)), following(6), following(0)};
  return {static_cast<char>(0xF0 | (code >> 18)), following(12), following(6), following(0)};
}

class Parser {
 public:
  Parser(const std::string &text, const std::string &name) : text_(text), name_(name) {}

  Json Whole() {
    if (!IsUtf8(text_)) throw InputError(name_ + ": is not JSON (not UTF-8)");
    Json value = Value(0);
    SkipBlanks();
    if (place_ < text_.size()) Fail("more after its end");
    return value;
  }

 private:
  [[noreturn]] void Fail(const std::string &what) const {
    const auto end = text_.begin() + static_cast<std::ptrdiff_t>(std::min(place_, text_.size()));
    const auto line = 1 + std::count(text_.begin(), end, '\n');
    throw InputError(name_ + ", line " + std::to_string(line) + ": is not JSON (" + what + ")");
  }

  void SkipBlanks() { place_ = std::min(text_.find_first_not_of(" \t\n\r", place_), text_.size()); }

  // The next character, without consuming it; 0 at the end.
  char Peek() const { return place_ < text_.size() ? text_[place_] : '\0'; }

  // Consume `wanted` if it comes next; returns whether it did.
  bool Take(const char *wanted) {
    const size_t length = std::strlen(wanted);
    const bool found = text_.compare(place_, length, wanted) == 0;
    if (found) place_ += length;
    return found;
  }

  Json Value(int depth) {
    if (depth > kDeepest) Fail("nested deeper than " + std::to_string(kDeepest));
    SkipBlanks();
    Json value;
    if (Take("{")) {
      value.kind = Json::Kind::kObject;
      Members(depth, &value);
    } else if (Take("[")) {
      value.kind = Json::Kind::kArray;
      Items(depth, &value);
    } else if (Take("\"")) {
      value.kind = Json::Kind::kText;
      value.text = Text();
    } else if (Take("true")) {
      value.kind = Json::Kind::kBool;
      value.number = 1;
    } else if (Take("false")) {
      value.kind = Json::Kind::kBool;
    } else if (!Take("null")) {
      value.kind = Json::Kind::kNumber;
      value.number = Number();
    }
    return value;
  }

  // Whether another element follows before `end`.
  bool Another(const char *end) {
    SkipBlanks();
    if (Take(",")) return true;
    if (!Take(end)) Fail(std::string("no ',' or '") + end + "' where one is expected");
    return false;
  }

  void Items(int depth, Json *array) {
    SkipBlanks();
    if (Take("]")) return;
    do {
      array->items.push_back(Value(depth + 1));
    } while (Another("]"));
  }

  void Members(int depth, Json *object) {
    SkipBlanks();
    if (Take("}")) return;
    do {
      SkipBlanks();
      if (!Take("\"")) Fail("no \" where a key is expected");
      object->keys.push_back(Text());
      SkipBlanks();
      if (!Take(":")) Fail("no ':' after a key");
      object->items.push_back(Value(depth + 1));
    } while (Another("}"));
    std::vector<std::string> sorted = object->keys;
    std::sort(sorted.begin(), sorted.end());
    if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end()) Fail("a key occurs twice");
  }

  // The rest of a text, after its first quotation mark.
  std::string Text() {
    std::string text;
    for (; Peek() != '"'; ++place_) {
      if (place_ >= text_.size()) Fail("a text without end");
      if (static_cast<unsigned char>(Peek()) < 0x20) Fail("a control character in a text");
      if (Peek() == '\\') {
        ++place_;
        text += Escaped();
      } else {
        text += Peek();
      }
    }
    ++place_;
    return text;
  }

  // The character of an escape, after its backslash; stops at the escape's last letter.
  std::string Escaped() {
    static const std::string letters = "\"\\/bfnrt";
    static const std::string meant = "\"\\/\b\f\n\r\t";
    const size_t found = letters.find(Peek());
    if (found != std::string::npos && Peek() != '\0') return {meant[found]};
    if (Peek() != 'u') Fail("an unknown escape in a text");
    uint32_t code = Hexadecimal();
    if (code >= 0xD800 && code < 0xDC00) {  // the first half of a surrogate pair
      ++place_;
      if (!Take("\\")) Fail("half a surrogate pair");
      const uint32_t second = Hexadecimal();
      if (second < 0xDC00 || second >= 0xE000) Fail("half a surrogate pair");
      code = 0x10000 + ((code - 0xD800) << 10) + (second - 0xDC00);
    } else if (code >= 0xDC00 && code < 0xE000) {
      Fail("half a surrogate pair");
    }
    return ToUtf8(code);
  }

  // uXXXX, from the u to the last X.
  uint32_t Hexadecimal() {
    const std::string digits = text_.substr(std::min(place_ + 1, text_.size()), 4);
    if (Peek() != 'u' || digits.size() < 4 || digits.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos) {
      Fail("\\u without four hexadecimal digits");
    }
    place_ += 4;
    return static_cast<uint32_t>(std::stoul(digits, nullptr, 16));
  }

  // Consume digits; returns their number.
  size_t Digits() {
    const size_t first = place_;
    place_ = std::min(text_.find_first_not_of("0123456789", place_), text_.size());
    return place_ - first;
  }

  double Number() {
    const size_t first = place_;
    Take("-");
    const bool zero = Peek() == '0';
    const size_t whole = Digits();
    if (whole == 0) Fail("no value where one is expected");
    bool valid = !zero || whole == 1;
    if (Take(".")) valid = Digits() > 0 && valid;
    if (Take("e") || Take("E")) {
      if (!Take("+")) Take("-");
      valid = Digits() > 0 && valid;
    }
    std::istringstream stream(text_.substr(first, place_ - first));
    stream.imbue(std::locale::classic());
    double value = 0;
    if (!valid || place_ - first > kLongestNumber || !(stream >> value) || !std::isfinite(value)) {
      Fail("a number that cannot be read");
    }
    return value;
  }

  const std::string &text_;
  const std::string &name_;
  size_t place_ = 0;
};

}  // namespace

const Json *Json::Find(const std::string &key) const {
  const auto found = std::find(keys.begin(), keys.end(), key);
  return found == keys.end() ? nullptr : &items[static_cast<size_t>(found - keys.begin())];
}

Json ParseJson(const std::string &text, const std::string &name) { return Parser(text, name).Whole(); }

}  // namespace segment
