// The confusion matrix of a whole list, and the figures of it.
#ifndef ASCEND310_INFER_INC_METRICS_H_
#define ASCEND310_INFER_INC_METRICS_H_

#include <array>
#include <cstdint>
#include <opencv2/core.hpp>
#include <string>
#include <vector>

namespace segment {

// IoU, Dice (F1), precision and recall; 0 where a class is never predicted (precision) or never there (recall).
using Figures = std::array<double, 4>;

// Pixel counts, rows = truth, columns = prediction; pixels of `ignore_label` are in neither.
class ConfusionMatrix {
 public:
  ConfusionMatrix(int num_classes, int ignore_label);

  // Add one picture; both are 8-bit class numbers of the same size, and CheckLabels has checked the mask.
  void Update(const cv::Mat &mask, const cv::Mat &prediction);

  int64_t count(size_t truth, size_t prediction) const { return counts_[truth * num_classes_ + prediction]; }

  // Figures of each class; NaN for a class in neither truth nor prediction.
  std::vector<Figures> PerClass() const;
  // Their means over the classes that occur; NaN if none does.
  Figures Means() const;
  // Share of the scored pixels that are right; NaN if there are none.
  double PixelAccuracy() const;
  // Pixels of each class in the truth.
  std::vector<int64_t> TruthPixels() const;

 private:
  size_t num_classes_;
  int ignore_label_;
  std::vector<int64_t> counts_;
};

// The figures of each class and their means, `mean IoU` and pixel accuracy: the lines that eval.py prints.
std::string FormatTable(const ConfusionMatrix &matrix, const std::vector<std::string> &names);

}  // namespace segment

#endif  // ASCEND310_INFER_INC_METRICS_H_
