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

constexpr size_t kWidest = 21;  // of names: the table fits 80 columns
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

std::string Cells(const Figures &figures) {
  constexpr int kWidths[] = {8, 8, 11, 8};
  std::ostringstream text;
  text << std::fixed << std::setprecision(4);
  for (size_t i = 0; i < figures.size(); ++i) {
    text << std::setw(kWidths[i]);
    std::isnan(figures[i]) ? text << "-" : text << figures[i];
  }
  return text.str();
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

std::vector<Figures> ConfusionMatrix::PerClass() const {
  const std::vector<int64_t> truth = TruthPixels();
  std::vector<int64_t> found(num_classes_);
  for (size_t i = 0; i < counts_.size(); ++i) found[i % num_classes_] += counts_[i];
  std::vector<Figures> figures(num_classes_);
  for (size_t i = 0; i < num_classes_; ++i) {
    const int64_t hits = count(i, i);
    const bool occurs = truth[i] + found[i] > 0;
    const auto share = [occurs](int64_t part, int64_t whole) { return occurs && whole == 0 ? 0 : Share(part, whole); };
    figures[i] = {share(hits, truth[i] + found[i] - hits), share(2 * hits, truth[i] + found[i]), share(hits, found[i]),
                  share(hits, truth[i])};
  }
  return figures;
}

Figures ConfusionMatrix::Means() const {
  Figures sums{};
  int occurring = 0;
  for (const Figures &figures : PerClass()) {
    if (std::isnan(figures[0])) continue;
    for (size_t i = 0; i < sums.size(); ++i) sums[i] += figures[i];
    ++occurring;
  }
  for (double &sum : sums) sum = occurring > 0 ? sum / occurring : kNan;
  return sums;
}

double ConfusionMatrix::PixelAccuracy() const {
  int64_t right = 0;
  int64_t all = 0;
  for (size_t i = 0; i < num_classes_; ++i) right += count(i, i);
  for (const int64_t value : counts_) all += value;
  return Share(right, all);
}

std::string FormatTable(const ConfusionMatrix &matrix, const std::vector<std::string> &names) {
  size_t width = std::string("class").size();
  for (const std::string &name : names) width = std::max(width, std::min(Characters(name), kWidest));
  const auto padded = [width](const std::string &name) {
    const size_t length = Characters(name);
    return length > width ? FirstCharacters(name, width - 3) + "..." : name + std::string(width - length, ' ');
  };
  const std::vector<Figures> figures = matrix.PerClass();
  const std::vector<int64_t> pixels = matrix.TruthPixels();
  std::ostringstream text;
  text << padded("class") << "     IoU    Dice  precision  recall      truth pixels\n";
  for (size_t i = 0; i < names.size(); ++i) {
    const std::string cells = std::isnan(figures[i][0]) ? "     never occurs: not in the means" : Cells(figures[i]);
    text << padded(names[i]) << cells << ' ' << std::setw(17) << WithCommas(pixels[i]) << "\n";
  }
  text << padded("mean") << Cells(matrix.Means()) << "\n";
  text << std::fixed << std::setprecision(6) << "mean IoU " << matrix.Means()[0] << "\npixel accuracy "
       << matrix.PixelAccuracy() << "\n";
  return text.str();
}

}  // namespace segment
