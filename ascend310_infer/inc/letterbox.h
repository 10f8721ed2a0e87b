// A picture to the network's square input, and its probabilities back to the picture's size. The results equal those of
// src/evaluation/letterbox.py to the last bit.
#ifndef ASCEND310_INFER_INC_LETTERBOX_H_
#define ASCEND310_INFER_INC_LETTERBOX_H_

#include <array>
#include <opencv2/core.hpp>
#include <vector>

namespace segment {

using Table = std::array<std::array<float, 256>, 3>;

// The network's input for each channel (blue green red) and byte: (byte - mean) / std.
Table NormalisationTable(const std::array<double, 3> &mean, const std::array<double, 3> &std);

// Size of a picture whose long side becomes `side`; the short one truncated, at least 1.
cv::Size LetterboxSize(int height, int width, int side);

// Resize an 8-bit blue green red picture to long side `side`, normalise, and put it in the corner of `out`, (3, side,
// side) floats; the rest is unchanged. Returns the picture's size there.
cv::Size Letterbox(const cv::Mat &image, int side, const Table &table, float *out);

// The classes that can be the highest at any pixel, in order: those with a value of 0.99 / num_classes or more among
// the first `count` of their plane. A pixel's probabilities sum to 1, resized or not, so its highest is never lower.
std::vector<uchar> Candidates(const float *probs, int num_classes, size_t plane, size_t count);

// The class of each pixel: the candidates' planes of `probs`, each `side` x `side` floats, cut to `valid`, resized to
// `size`; the first class of equal ones; class 0 without candidates. 8-bit, `size`.
cv::Mat ClassMap(const float *probs, const std::vector<uchar> &candidates, int side, cv::Size valid, cv::Size size);

}  // namespace segment

#endif  // ASCEND310_INFER_INC_LETTERBOX_H_
