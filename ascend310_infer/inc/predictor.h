// The network on MindSpore Lite: the only part that uses MindSpore.
#ifndef ASCEND310_INFER_INC_PREDICTOR_H_
#define ASCEND310_INFER_INC_PREDICTOR_H_

#include <memory>
#include <string>
#include <vector>

#include "inc/options.h"
#include "inc/pipeline.h"
#include "include/api/model.h"

namespace segment {

class Predictor {
 public:
  // Load the model on the device. Throws InputError for a file or device that cannot be used.
  explicit Predictor(const Options &options);

  const ModelShape &shape() const { return shape_; }

  // Probabilities of normalised pictures, valid until the next call. Throws RunError.
  const float *Run(const std::vector<float> &input);

 private:
  void Resize(const Options &options);
  void CheckOutput(const std::string &where);  // of the first Predict; sets the number of classes
  void Predict();

  std::string path_;
  mindspore::Model model_;
  std::vector<mindspore::MSTensor> inputs_;
  std::vector<mindspore::MSTensor> outputs_;
  std::shared_ptr<const void> data_;  // of the output
  ModelShape shape_{};
};

}  // namespace segment

#endif  // ASCEND310_INFER_INC_PREDICTOR_H_
