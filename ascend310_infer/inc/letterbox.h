// A picture into the network's square input, and its probabilities back to the picture: the arithmetic of
// src/evaluation/inference.py, to the last bit.
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
// side) floats; the rest stays as it is. Returns the size that the picture takes there.
cv::Size Letterbox(const cv::Mat &image, int side, const Table &table, float *out);

// The classes that can be a pixel's highest, in order: those with a value of 0.99 / num_classes or more among the first
// `count` of their plane. A pixel's probabilities sum to 1, resized or not, so that its highest is never less.
std::vector<uchar> Candidates(const float *probs, int num_classes, size_t plane, size_t count);

// The class of each pixel: the candidates' planes of `probs`, each `side` x `side` floats, cut to `valid`, resized to
// `size`; of the highest values the first class, without candidates class 0. 8-bit, `size`.
cv::Mat ClassMap(const float *probs, const std::vector<uchar> &candidates, int side, cv::Size valid, cv::Size size);

}  // namespace segment

#endif  // ASCEND310_INFER_INC_LETTERBOX_H_
