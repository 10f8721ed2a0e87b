// Letterbox and class map with OpenCV, plane by plane.
#include "inc/letterbox.h"

#include <algorithm>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <vector>

namespace segment {
namespace {

// Where a pixel of `scores` is higher than in `best`, it becomes the best and its class `number`. OpenCV's operators
// choose the machine's vector instructions when they run; a loop here would be limited to those of all machines.
void Raise(const cv::Mat &scores, uchar number, cv::Mat *best, cv::Mat *winner, cv::Mat *higher) {
  cv::compare(scores, *best, *higher, cv::CMP_GT);
  cv::max(scores, *best, *best);
  winner->setTo(number, *higher);
}

}  // namespace

Table NormalisationTable(const std::array<double, 3> &mean, const std::array<double, 3> &std) {
  Table table{};
  for (size_t channel = 0; channel < 3; ++channel) {
    for (size_t byte = 0; byte < 256; ++byte) {
      table[channel][byte] = static_cast<float>((static_cast<double>(byte) - mean[channel]) / std[channel]);
    }
  }
  return table;
}

cv::Size LetterboxSize(int height, int width, int side) {
  const auto scaled = [side](int length, int longest) {
    return std::max(1, static_cast<int>(static_cast<int64_t>(side) * length / longest));
  };
  return height > width ? cv::Size(scaled(width, height), side) : cv::Size(side, scaled(height, width));
}

cv::Size Letterbox(const cv::Mat &image, int side, const Table &table, float *out) {
  const cv::Size size = LetterboxSize(image.rows, image.cols, side);
  cv::Mat resized;
  cv::resize(image, resized, size);
  const auto width = static_cast<size_t>(side);
  std::fill(out, out + 3 * width * width, 0.0F);
  for (int row = 0; row < size.height; ++row) {
    const uchar *pixels = resized.ptr(row);
    for (size_t channel = 0; channel < 3; ++channel) {
      float *target = out + (channel * width + static_cast<size_t>(row)) * width;
      const auto &levels = table[channel];
      for (int column = 0; column < size.width; ++column) {
        target[column] = levels[pixels[3 * static_cast<size_t>(column) + channel]];
      }
    }
  }
  return size;
}

cv::Mat ClassMap(const float *probs, int num_classes, int rows, int stride, cv::Size valid, cv::Size size) {
  const size_t plane_size = static_cast<size_t>(rows) * static_cast<size_t>(stride);
  cv::Mat best;
  cv::Mat resized;
  cv::Mat higher;
  cv::Mat winner = cv::Mat::zeros(size, CV_8U);
  for (int number = 0; number < num_classes; ++number) {
    // OpenCV has no view of constant data; resize only reads.
    const cv::Mat plane(rows, stride, CV_32F, const_cast<float *>(probs) + plane_size * static_cast<size_t>(number));
    const cv::Mat corner = plane(cv::Rect(cv::Point(), valid));
    cv::resize(corner, number == 0 ? best : resized, size);
    if (number > 0) Raise(resized, static_cast<uchar>(number), &best, &winner, &higher);
  }
  return winner;
}

}  // namespace segment
