// Segment the pictures of a list with a MINDIR and score the class maps.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <opencv2/core/utility.hpp>
#include <sstream>

#include "inc/errors.h"
#include "inc/facts.h"
#include "inc/files.h"
#include "inc/metrics.h"
#include "inc/options.h"
#include "inc/pipeline.h"
#include "inc/predictor.h"
#include "inc/text.h"

namespace segment {
namespace {

void MakeFolders(const std::string &output_dir) {
  for (const char *name : {"result_Files", "time_Result"}) {
    std::error_code status;
    std::filesystem::create_directories(Join(output_dir, name), status);
    if (status) throw InputError("--output_dir " + output_dir + ": cannot be written (" + status.message() + ")");
  }
}

std::string TimeText(const Summary &summary) {
  const double calls = static_cast<double>(std::max<size_t>(summary.calls, 1));
  const double images = static_cast<double>(std::max<size_t>(summary.images, 1));
  std::ostringstream text;
  text << "NN inference cost average time: " << summary.predict_ms / calls << " ms of infer_count " << summary.calls
       << "\nreading and letterbox: " << summary.read_ms / images << " ms an image\nclass map, PNG and counting: "
       << summary.write_ms / images << " ms an image\ncopying: " << summary.copy_ms / images << " ms an image\n";
  return text.str();
}

// Print the results of a complete or stopped run, and write them to acc.log and time_Result.
void Report(const Options &options, const Summary &summary, size_t listed, const std::string &table) {
  std::ostringstream text;
  text << "processed " << summary.images << " of " << listed << " images";
  if (options.skip_bad) text << ", " << summary.bad.size() << " skipped";
  text << "\n" << table;
  const char *const ended = options.skip_bad ? "skipped: " : "stopped: ";
  for (const std::string &line : summary.bad) text << ended << Printable(line) << "\n";
  WriteFile(Join(options.output_dir, "acc.log"), text.str());
  WriteFile(Join(options.output_dir, "time_Result/test_perform_static.txt"), TimeText(summary));
  std::cout << text.str() << TimeText(summary) << std::flush;
}

void Main(const std::vector<std::string> &arguments) {
  Options options = ParseOptions(arguments);
  if (options.help) {
    std::cout << HelpText();
    return;
  }
  if (options.mask_path.empty()) options.mask_path = options.dataset_path;
  std::vector<Pair> pairs = ReadList(options.image_list);
  if (MakeRelative(options, &pairs)) {
    std::cerr << "warning: --image_list " << Printable(options.image_list)
              << ": names begin with a slash; they are read as relative" << std::endl;
  }
  CheckPairs(pairs, options);
  const Facts facts = ReadFacts(options.mindir_path);
  Believe(facts, &options);
  cv::setNumThreads(1);  // the stages are the parallelism
  Predictor predictor(options);
  const ModelShape &shape = predictor.shape();
  CheckClasses(facts, options.mindir_path, shape.classes);
  const std::vector<std::string> names =
      ClassNames(static_cast<size_t>(shape.classes), options.class_names, facts.class_names);
  MakeFolders(options.output_dir);
  ConfusionMatrix matrix(shape.classes, options.ignore_label);
  const Summary summary = Run(
      pairs, options, shape, [&predictor](const std::vector<float> &input) { return predictor.Run(input); }, &matrix);
  Report(options, summary, pairs.size(), FormatTable(matrix, names));
  if (!options.skip_bad && !summary.bad.empty()) throw RunError(summary.bad.front());
  if (summary.images == 0) throw RunError("no picture of " + options.image_list + " could be read");
}

}  // namespace
}  // namespace segment

int main(int argc, char **argv) {
  try {
    segment::Main(std::vector<std::string>(argv + 1, argv + argc));
    return 0;
  } catch (const segment::InputError &error) {
    std::cerr << "error: " << segment::Printable(error.what()) << std::endl;
    return 2;
  } catch (const std::exception &error) {
    std::cerr << "error: " << segment::Printable(segment::FirstLine(error.what())) << std::endl;
    return 1;
  }
}
