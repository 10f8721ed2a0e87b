// Run a list through the network: while it works, the next pictures are read and the previous ones scored.
#ifndef ASCEND310_INFER_INC_PIPELINE_H_
#define ASCEND310_INFER_INC_PIPELINE_H_

#include <functional>
#include <string>
#include <vector>

#include "inc/files.h"
#include "inc/letterbox.h"
#include "inc/metrics.h"
#include "inc/options.h"

namespace segment {

// Normalised pictures (batch, 3, size, size) -> probabilities (batch, classes, size, size), valid until the next call.
using Predict = std::function<const float *(const std::vector<float> &)>;

struct ModelShape {
  int batch;
  int size;
  int classes;
};

// Counts of a run; times are sums in milliseconds.
struct Summary {
  size_t images = 0;
  size_t calls = 0;            // of Predict
  double predict_ms = 0;       // by the clock
  double read_ms = 0;          // reading, decoding, letterbox: processor time of their thread
  double write_ms = 0;         // class map, PNG, counting: processor time of their thread
  double copy_ms = 0;          // of the needed probabilities, by the clock
  std::vector<std::string> bad;  // one line for each picture that could not be read
};

// Make names with a leading slash (in widely copied lists of VOC) relative where only the relative file exists. Returns
// true if there were any.
bool MakeRelative(const Options &options, std::vector<Pair> *pairs);

// Throws InputError for pictures whose results would have the same name, and, without --skip_bad, for missing files.
void CheckPairs(const std::vector<Pair> &pairs, const Options &options);

// Segment and score every pair. The class maps are written to output_dir/result_Files/NAME.png, with --dump_probs the
// probabilities beside them. At most three batches are in memory. Without --skip_bad a picture that cannot be read
// ends the run: `matrix` has all pictures before it, and Summary::bad names it. Throws RunError if a result cannot be
// written, and the errors of `predict`.
Summary Run(const std::vector<Pair> &pairs, const Options &options, const ModelShape &shape, const Predict &predict,
            ConfusionMatrix *matrix);

}  // namespace segment

#endif  // ASCEND310_INFER_INC_PIPELINE_H_
