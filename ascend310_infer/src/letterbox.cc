// Letterbox and class map with OpenCV, plane by plane.
#include "inc/letterbox.h"

#include <algorithm>
#include <array>
#include <opencv2/core.hpp>
#include <opencv2/core/hal/intrin.hpp>
#include <opencv2/core/version.hpp>
#include <opencv2/imgproc.hpp>
#include <vector>

namespace segment {
namespace {

#if CV_SIMD128
cv::v_float32x4 IsHigher(const cv::v_float32x4 &value, const cv::v_float32x4 &before) {
#if CV_VERSION_MAJOR > 4 || (CV_VERSION_MAJOR == 4 && CV_VERSION_MINOR >= 9)
  return cv::v_gt(value, before);  // the operators are gone from later versions, and this is not in earlier ones
#else
  return value > before;
#endif
}
#endif

// Where a value of `scores` is higher than in `best`, it becomes the best and its class `number`; all continuous and of
// one size. OpenCV's vectors, of 16 bytes on every machine: three operators of OpenCV took 3.5 times as long.
void Raise(const cv::Mat &scores, uchar number, cv::Mat *best, cv::Mat *winner) {
  const float *score = scores.ptr<float>();
  float *highest = best->ptr<float>();
  uchar *known = winner->ptr();
  const auto count = static_cast<int>(scores.total());
  int i = 0;
#if CV_SIMD128
  const cv::v_uint8x16 numbers = cv::v_setall_u8(number);
  for (; i + 16 <= count; i += 16) {
    std::array<cv::v_uint32x4, 4> higher;
    for (int part = 0; part < 4; ++part) {
      const cv::v_float32x4 value = cv::v_load(score + i + 4 * part);
      const cv::v_float32x4 before = cv::v_load(highest + i + 4 * part);
      const cv::v_float32x4 mask = IsHigher(value, before);
      higher[static_cast<size_t>(part)] = cv::v_reinterpret_as_u32(mask);
      cv::v_store(highest + i + 4 * part, cv::v_select(mask, value, before));
    }
    const cv::v_uint8x16 raised = cv::v_pack_b(higher[0], higher[1], higher[2], higher[3]);
    cv::v_store(known + i, cv::v_select(raised, numbers, cv::v_load(known + i)));
  }
#endif
  for (; i < count; ++i) {
    if (score[i] > highest[i]) {
      highest[i] = score[i];
      known[i] = number;
    }
  }
}

// Whether one of `count` values is `least` or more. The inner loop has no way out, so that compilers use vectors.
bool Reaches(const float *values, size_t count, float least) {
  constexpr size_t kStep = 1024;
  for (size_t first = 0; first < count; first += kStep) {
    const size_t last = std::min(first + kStep, count);
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
    if (!resized.empty()) Raise(resized, number, &best, &winner);
  }
  return winner;
}

}  // namespace segment
