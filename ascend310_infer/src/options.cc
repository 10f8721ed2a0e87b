// The command line as a table: each option's name, kind of value, help text and place in Options.
#include "inc/options.h"

#include <cmath>
#include <functional>
#include <iomanip>
#include <sstream>

#include "inc/errors.h"

namespace segment {
namespace {

struct Option {
  std::string name;
  std::string kind;  // empty for a flag
  std::string help;
  std::function<void(Options *, const std::string &)> set;
};

using Member = std::string Options::*;

template <typename Number>
Number ParseNumber(const std::string &name, const std::string &text, double lowest, double highest) {
  std::istringstream stream(text);
  Number value{};
  const bool whole = static_cast<bool>(stream >> value) && stream.peek() == std::istringstream::traits_type::eof();
  if (!whole || !std::isfinite(static_cast<double>(value)) || value < lowest || value > highest) {
    std::ostringstream message;
    message << "--" << name << " takes a number from " << lowest << " to " << highest << ", not '" << text << "'";
    throw InputError(message.str());
  }
  return value;
}

Option Text(const std::string &name, const std::string &help, Member member) {
  return {name, "TEXT", help, [member](Options *options, const std::string &text) { options->*member = text; }};
}

Option Integer(const std::string &name, const std::string &help, int Options::*member, int lowest, int highest) {
  return {name, "INT", help, [=](Options *options, const std::string &text) {
            options->*member = ParseNumber<int>(name, text, lowest, highest);
          }};
}

Option Flag(const std::string &name, const std::string &help, bool Options::*member) {
  return {name, "", help, [member](Options *options, const std::string &) { options->*member = true; }};
}

Option Triple(const std::string &name, const std::string &help, std::array<double, 3> Options::*member, double lowest) {
  return {name, "B,G,R", help, [=](Options *options, const std::string &text) {
            std::istringstream stream(text);
            std::vector<double> values;
            for (std::string part; std::getline(stream, part, ',');) {
              values.push_back(ParseNumber<double>(name, part, lowest, kLargestLevel));
            }
            if (values.size() != 3 || text.back() == ',') {
              throw InputError("--" + name + " takes three numbers b,g,r, not '" + text + "'");
            }
            options->*member = {values[0], values[1], values[2]};
          }};
}

std::vector<Option> Table() {
  return {
      Text("mindir_path", "model that export.py wrote", &Options::mindir_path),
      Text("dataset_path", "folder that the pictures' paths are relative to", &Options::dataset_path),
      Text("mask_path", "folder that the masks' paths are relative to (default: dataset_path)", &Options::mask_path),
      Text("image_list", "list file, a line 'image mask' for each pair", &Options::image_list),
      Text("output_dir", "folder for result_Files, time_Result and acc.log (default: .)", &Options::output_dir),
      Text("device_type", "Ascend, GPU or CPU (default: Ascend)", &Options::device_type),
      Integer("device_id", "number of the device (default: 0)", &Options::device_id, 0, 1023),
      Text("fusion_switch_path", "file that turns fusions of the Ascend compiler off", &Options::fusion_switch_path),
      Integer("batch", "pictures a step; 0 as the model was exported (default: 0)", &Options::batch, 0, 1024),
      Integer("size", "side of the square input; 0 as the model was exported (default: 0)", &Options::size, 0, 16384),
      Integer("threads", "threads of the model on a CPU; 0 takes every core (default: 0)", &Options::threads, 0, 1024),
      Triple("mean", "mean of each channel, 0 to 255 (default: the model's, else 103.53,116.28,123.675)",
             &Options::mean, -kLargestLevel),
      Triple("std", "standard deviation of each channel (default: the model's, else 57.375,57.120,58.395)",
             &Options::std, kSmallestStd),
      Integer("ignore_label", "mask value that is not scored (default: the model's, else 255)",
              &Options::ignore_label, 0, 255),
      Text("class_names", "text file with one class name per line, for the table (default: the model's)",
           &Options::class_names),
      Flag("dump_probs", "also write each picture's probabilities, float32, as NAME_0.bin", &Options::dump_probs),
      Flag("skip_bad", "leave out pictures that cannot be read, and count them", &Options::skip_bad),
      Flag("help", "show this text", &Options::help),
  };
}

void Check(const Options &options) {
  const std::vector<std::pair<std::string, std::string>> needed = {{"mindir_path", options.mindir_path},
                                                                   {"dataset_path", options.dataset_path},
                                                                   {"image_list", options.image_list}};
  for (const auto &[name, value] : needed) {
    if (value.empty()) {
      throw InputError("--" + name + " is not given (see --help)");
    }
  }
  if (options.device_type != "Ascend" && options.device_type != "GPU" && options.device_type != "CPU") {
    throw InputError("--device_type is one of Ascend, GPU, CPU, not '" + options.device_type + "'");
  }
}

}  // namespace

Options ParseOptions(const std::vector<std::string> &arguments) {
  const std::vector<Option> table = Table();
  Options options;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string &argument = arguments[i];
    const size_t equals = argument.find('=');
    const std::string given = argument.substr(0, equals);
    const Option *found = nullptr;
    for (const Option &option : table) {
      found = given == "--" + option.name ? &option : found;
    }
    if (found == nullptr) {
      throw InputError("no option '" + given + "' (see --help)");
    }
    if (found->kind.empty() && equals != std::string::npos) {
      throw InputError(given + " takes no value");
    }
    options.given.insert(found->name);
    if (found->kind.empty() || equals != std::string::npos) {
      found->set(&options, found->kind.empty() ? "" : argument.substr(equals + 1));
    } else if (++i < arguments.size()) {
      found->set(&options, arguments[i]);
    } else {
      throw InputError(given + " needs a value");
    }
  }
  if (!options.help) {
    Check(options);
  }
  return options;
}

std::string HelpText() {
  std::ostringstream text;
  text << "Segment the pictures of a list with a MINDIR and score the class maps: mIoU over the list.\n\n";
  for (const Option &option : Table()) {
    text << "  --" << std::left << std::setw(28) << option.name + (option.kind.empty() ? "" : " " + option.kind)
         << option.help << "\n";
  }
  text << "\nThe model's values are in the JSON file that export.py writes beside it, mindir_path.json.\n";
  return text.str();
}

}  // namespace segment
