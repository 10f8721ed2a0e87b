// Read untrusted JSON (RFC 8259) into a tree.
#ifndef ASCEND310_INFER_INC_JSON_H_
#define ASCEND310_INFER_INC_JSON_H_

#include <string>
#include <vector>

namespace segment {

struct Json {
  enum class Kind { kNull, kBool, kNumber, kText, kArray, kObject };
  Kind kind = Kind::kNull;
  double number = 0;              // of kNumber; 0 or 1 of kBool
  std::string text;               // of kText, UTF-8
  std::vector<std::string> keys;  // of kObject, each once
  std::vector<Json> items;        // of kArray; of kObject, one for each key

  // The value of a key, nullptr without one.
  const Json *Find(const std::string &key) const;
};

// Throws InputError with `name` and the line for text that is not JSON, nests deeper than 32, or has a key twice. Its
// memory is limited by the size of `text`.
Json ParseJson(const std::string &text, const std::string &name);

}  // namespace segment

#endif  // ASCEND310_INFER_INC_JSON_H_
