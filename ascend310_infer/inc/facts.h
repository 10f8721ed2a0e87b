// What export.py says of a MINDIR, in the JSON file beside it: see src/metadata.py.
#ifndef ASCEND310_INFER_INC_FACTS_H_
#define ASCEND310_INFER_INC_FACTS_H_

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "inc/options.h"

namespace segment {

struct Facts {
  std::string path;  // of the file; empty if there is none
  std::optional<int> num_classes;
  std::vector<std::string> class_names;  // empty, or num_classes of them
  std::optional<int> ignore_label;
  std::optional<std::array<double, 3>> mean;  // blue, green, red
  std::optional<std::array<double, 3>> std;
};

// The facts of MINDIR_PATH.json, none without such a file. Throws InputError for a file of more than 1 MiB, one that is
// not JSON, and a fact that is no such value; keys that this program has no use for are passed over.
Facts ReadFacts(const std::string &mindir_path);

// The facts in place of what the command line does not say.
void Believe(const Facts &facts, Options *options);

// Throws InputError if the facts are of another number of classes than the model gives.
void CheckClasses(const Facts &facts, const std::string &mindir_path, int classes);

}  // namespace segment

#endif  // ASCEND310_INFER_INC_FACTS_H_
