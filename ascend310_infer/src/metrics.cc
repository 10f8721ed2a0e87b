// Count pixels, print the table.
#include "inc/metrics.h"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <limits>
#include <sstream>

#include "inc/text.h"

namespace segment {
namespace {

constexpr size_t kWidest = 21;  // of names: 80 columns with the longest note
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

double Share(int64_t part, int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : kNan;
}

std::string WithCommas(int64_t number) {
  std::string text = std::to_string(number);
  for (int place = static_cast<int>(text.size()) - 3; place > 0; place -= 3) {
    text.insert(static_cast<size_t>(place), ",");
  }
  return text;
}

}  // namespace

ConfusionMatrix::ConfusionMatrix(int num_classes, int ignore_label)
    : num_classes_(static_cast<size_t>(num_classes)),
      ignore_label_(ignore_label),
      counts_(num_classes_ * num_classes_) {}

void ConfusionMatrix::Update(const cv::Mat &mask, const cv::Mat &prediction) {
  for (int row = 0; row < mask.rows; ++row) {
    const uchar *truth = mask.ptr(row);
    const uchar *found = prediction.ptr(row);
    for (int column = 0; column < mask.cols; ++column) {
      if (truth[column] != ignore_label_) ++counts_[truth[column] * num_classes_ + found[column]];
    }
  }
}

std::vector<int64_t> ConfusionMatrix::TruthPixels() const {
  std::vector<int64_t> pixels(num_classes_);
  for (size_t i = 0; i < counts_.size(); ++i) pixels[i / num_classes_] += counts_[i];
  return pixels;
}

std::vector<double> ConfusionMatrix::Iou() const {
  std::vector<int64_t> either = TruthPixels();
  for (size_t i = 0; i < counts_.size(); ++i) either[i % num_classes_] += counts_[i];
  std::vector<double> iou(num_classes_);
  for (size_t i = 0; i < num_classes_; ++i) iou[i] = Share(count(i, i), either[i] - count(i, i));
  return iou;
}

double ConfusionMatrix::MeanIou() const {
  double sum = 0;
  int occurring = 0;
  for (const double value : Iou()) {
    if (!std::isnan(value)) {
      sum += value;
      ++occurring;
    }
  }
  return occurring > 0 ? sum / occurring : kNan;
}

double ConfusionMatrix::PixelAccuracy() const {
  int64_t right = 0;
  int64_t all = 0;
  for (size_t i = 0; i < num_classes_; ++i) right += count(i, i);
  for (const int64_t value : counts_) all += value;
  return Share(right, all);
}

std::string FormatTable(const ConfusionMatrix &matrix, const std::vector<std::string> &names) {
  size_t width = 0;
  for (const std::string &name : names) width = std::max(width, std::min(Characters(name), kWidest));
  const auto padded = [width](const std::string &name) {
    const size_t length = Characters(name);
    return length > width ? FirstCharacters(name, width - 3) + "..." : name + std::string(width - length, ' ');
  };
  const std::vector<double> iou = matrix.Iou();
  const std::vector<int64_t> pixels = matrix.TruthPixels();
  std::ostringstream text;
  text << std::fixed << std::setprecision(4) << "class" << std::string(width > 5 ? width - 5 : 0, ' ')
       << "     IoU      truth pixels\n";
  for (size_t i = 0; i < names.size(); ++i) {
    text << padded(names[i]) << ' ' << std::setw(7);
    std::isnan(iou[i]) ? text << "-" : text << iou[i];
    text << ' ' << std::setw(17) << WithCommas(pixels[i]);
    text << (std::isnan(iou[i]) ? "  (never occurs: not in the mean)\n" : "\n");
  }
  text << std::setprecision(6) << "mean IoU " << matrix.MeanIou() << "\npixel accuracy " << matrix.PixelAccuracy()
       << "\n";
  return text.str();
}

}  // namespace segment
