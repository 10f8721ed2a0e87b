// The command line.
#ifndef ASCEND310_INFER_INC_OPTIONS_H_
#define ASCEND310_INFER_INC_OPTIONS_H_

#include <array>
#include <set>
#include <string>
#include <vector>

namespace segment {

constexpr double kLargestLevel = 1e6;  // of a mean or a standard deviation
constexpr double kSmallestStd = 1e-6;

struct Options {
  std::string mindir_path;
  std::string dataset_path;  // pictures are relative to it
  std::string mask_path;     // masks are relative to it; empty: to dataset_path
  std::string image_list;
  std::string output_dir = ".";
  std::string device_type = "Ascend";
  int device_id = 0;
  std::string fusion_switch_path;
  int batch = 0;    // 0: as the model was exported
  int size = 0;     // 0: as the model was exported
  int threads = 0;  // 0: every core
  std::array<double, 3> mean{103.53, 116.28, 123.675};  // blue, green, red
  std::array<double, 3> std{57.375, 57.120, 58.395};
  int ignore_label = 255;
  std::string class_names;
  bool dump_probs = false;
  bool skip_bad = false;
  bool help = false;
  std::set<std::string> given;  // names of the options that were on the command line
};

// Options from `--name value`, `--name=value` and flags without value. Throws InputError for an unknown name, a value
// that is missing or of the wrong kind, and (without --help) a missing required option.
Options ParseOptions(const std::vector<std::string> &arguments);

// The text of --help.
std::string HelpText();

}  // namespace segment

#endif  // ASCEND310_INFER_INC_OPTIONS_H_
