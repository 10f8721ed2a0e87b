// JSON that may come from anybody (RFC 8259), read into a tree.
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

  // The value of a key, nullptr if there is none.
  const Json *Find(const std::string &key) const;
};

// Throws InputError, `name` and the line among its words, for what is not JSON, nests deeper than 32, or says a key
// twice; the memory it takes is bounded by that of `text`.
Json ParseJson(const std::string &text, const std::string &name);

}  // namespace segment

#endif  // ASCEND310_INFER_INC_JSON_H_
