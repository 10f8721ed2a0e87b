// The two kinds of errors, each with one line that names the file or option and how to fix it.
#ifndef ASCEND310_INFER_INC_ERRORS_H_
#define ASCEND310_INFER_INC_ERRORS_H_

#include <stdexcept>

namespace segment {

// An option or file of the user cannot be used: exit code 2.
struct InputError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A run started and could not go on: exit code 1.
struct RunError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace segment

#endif  // ASCEND310_INFER_INC_ERRORS_H_
