// Letterbox and class map with OpenCV, plane by plane.
#include "inc/letterbox.h"

#include <algorithm>
#include <array>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <vector>

namespace segment {
namespace {

constexpr size_t kBlock = 1024;  // floats that stay in the nearest cache

// Where one of `count` values of `scores` is higher than in `best`, it replaces it and the class becomes `number`. Each
// loop does one thing with one type, so that compilers use vectors; OpenCV's matrix operators take twice as long.
void Raise(const float *scores, size_t count, uchar number, float *best, uchar *winner) {
  std::array<uchar, kBlock> higher{};
  for (size_t first = 0; first < count; first += kBlock) {
    const size_t length = std::min(kBlock, count - first);
    const float *score = scores + first;
    float *highest = best + first;
    uchar *known = winner + first;
    for (size_t i = 0; i < length; ++i) higher[i] = score[i] > highest[i] ? 255 : 0;
    for (size_t i = 0; i < length; ++i) highest[i] = score[i] > highest[i] ? score[i] : highest[i];
    for (size_t i = 0; i < length; ++i) known[i] = higher[i] != 0 ? number : known[i];
  }
}

// Whether one of `count` values is `least` or more. The inner loop has no break, so that compilers use vectors.
bool Reaches(const float *values, size_t count, float least) {
  for (size_t first = 0; first < count; first += kBlock) {
    const size_t last = std::min(first + kBlock, count);
    int found = 0;
    for (size_t i = first; i < last; ++i) found |= static_cast<int>(values[i] >= least);
    if (found != 0) return true;
  }
  return false;
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

std::vector<uchar> Candidates(const float *probs, int num_classes, size_t plane, size_t count) {
  const float least = 0.99F / static_cast<float>(num_classes);  // a hundredth for rounding, float16's too
  std::vector<uchar> candidates;
  for (int number = 0; number < num_classes; ++number) {
    if (Reaches(probs + static_cast<size_t>(number) * plane, count, least)) {
      candidates.push_back(static_cast<uchar>(number));
    }
  }
  return candidates;
}

cv::Mat ClassMap(const float *probs, const std::vector<uchar> &candidates, int side, cv::Size valid, cv::Size size) {
  const size_t plane_size = static_cast<size_t>(side) * static_cast<size_t>(side);
  cv::Mat best;
  cv::Mat resized;
  cv::Mat winner(size, CV_8U, cv::Scalar(candidates.empty() ? 0 : candidates.front()));
  for (const uchar number : candidates) {
    // OpenCV has no view of constant data; resize only reads.
    const cv::Mat plane(side, side, CV_32F, const_cast<float *>(probs) + plane_size * number);
    const cv::Mat corner = plane(cv::Rect(cv::Point(), valid));
    cv::resize(corner, best.empty() ? best : resized, size);
    if (!resized.empty()) Raise(resized.ptr<float>(), best.total(), number, best.ptr<float>(), winner.ptr());
  }
  return winner;
}

}  // namespace segment
