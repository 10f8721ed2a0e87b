// A list through the network: the next pictures are read and the last ones scored while the network works.
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

// What a run counted; times are sums in milliseconds.
struct Summary {
  size_t images = 0;
  size_t calls = 0;            // of Predict
  double predict_ms = 0;       // by the clock
  double read_ms = 0;          // reading, decoding, letterbox: processor time of their thread
  double write_ms = 0;         // class map, PNG, counting: processor time of their thread
  double copy_ms = 0;          // of the probabilities that are needed, by the clock
  std::vector<std::string> bad;  // one line for each picture that could not be read
};

// Names with a leading slash, as VOC's widely copied lists have, become relative where only that file exists; true if
// there were any.
bool MakeRelative(const Options &options, std::vector<Pair> *pairs);

// Throws InputError for pictures whose results would have one name, and, without --skip_bad, for missing files.
void CheckPairs(const std::vector<Pair> &pairs, const Options &options);

// Segment and score every pair. The class maps are written to output_dir/result_Files/NAME.png, with --dump_probs the
// probabilities beside them. At most three batches are in memory. Without --skip_bad a picture that cannot be read
// ends the run: what came before it is complete in `matrix`, and Summary::bad names it. Throws RunError where a result
// cannot be written, and whatever `predict` throws.
Summary Run(const std::vector<Pair> &pairs, const Options &options, const ModelShape &shape, const Predict &predict,
            ConfusionMatrix *matrix);

}  // namespace segment

#endif  // ASCEND310_INFER_INC_PIPELINE_H_
