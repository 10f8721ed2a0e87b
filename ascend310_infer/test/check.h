// A table of named tests and the checks they use.
#ifndef ASCEND310_INFER_TEST_CHECK_H_
#define ASCEND310_INFER_TEST_CHECK_H_

#include <functional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using Tests = std::vector<std::pair<std::string, std::function<void()>>>;

Tests TextTests();
Tests FactsTests();
Tests PictureTests();
Tests PipelineTests();

struct Failure : std::logic_error {
  using std::logic_error::logic_error;
};

#define CHECK(condition) \
  if (!(condition)) throw Failure(std::string(__FILE__) + ":" + std::to_string(__LINE__) + ": " #condition)

// The message of the Error that `action` throws; fails if it throws none.
template <typename Error>
std::string Thrown(const std::function<void()> &action) {
  try {
    action();
  } catch (const Error &error) {
    return error.what();
  }
  throw Failure("nothing was thrown");
}

inline bool Has(const std::string &text, const std::string &part) { return text.find(part) != std::string::npos; }

#endif  // ASCEND310_INFER_TEST_CHECK_H_
