// The facts of a MINDIR, which export.py writes in a JSON file beside it: see src/weights/metadata.py.
#ifndef ASCEND310_INFER_INC_FACTS_H_
#define ASCEND310_INFER_INC_FACTS_H_

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "inc/options.h"

namespace segment {

struct Facts {
  std::string path;  // of the file; empty without a file
  std::optional<int> num_classes;
  std::vector<std::string> class_names;  // empty, or num_classes of them
  std::optional<int> ignore_label;
  std::optional<std::array<double, 3>> mean;  // blue, green, red
  std::optional<std::array<double, 3>> std;
};

// The facts of MINDIR_PATH.json, none without such a file. Throws InputError for a file of more than 1 MiB, one that is
// not JSON, and an invalid fact; keys that this program does not use are ignored.
Facts ReadFacts(const std::string &mindir_path);

// Use the facts for options that are not on the command line.
void Believe(const Facts &facts, Options *options);

// Throws InputError if the facts have another number of classes than the model.
void CheckClasses(const Facts &facts, const std::string &mindir_path, int classes);

}  // namespace segment

#endif  // ASCEND310_INFER_INC_FACTS_H_
