// The two ways a run ends early, each with one line that names the file or option and the fix.
#ifndef ASCEND310_INFER_INC_ERRORS_H_
#define ASCEND310_INFER_INC_ERRORS_H_

#include <stdexcept>

namespace segment {

// Something the user gave cannot be used: exit code 2.
struct InputError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A run that started well and could not go on: exit code 1.
struct RunError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace segment

#endif  // ASCEND310_INFER_INC_ERRORS_H_
