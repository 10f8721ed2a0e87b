// A picture into the network's square input, and its probabilities back to the picture: the arithmetic of
// src/evaluation/inference.py, to the last bit.
#ifndef ASCEND310_INFER_INC_LETTERBOX_H_
#define ASCEND310_INFER_INC_LETTERBOX_H_

#include <array>
#include <opencv2/core.hpp>

namespace segment {

using Table = std::array<std::array<float, 256>, 3>;

// The network's input for each channel (blue green red) and byte: (byte - mean) / std.
Table NormalisationTable(const std::array<double, 3> &mean, const std::array<double, 3> &std);

// Size of a picture whose long side becomes `side`; the short one truncated, at least 1.
cv::Size LetterboxSize(int height, int width, int side);

// Resize an 8-bit blue green red picture to long side `side`, normalise, and put it in the corner of `out`, (3, side,
// side) floats; the rest stays as it is. Returns the size that the picture takes there.
cv::Size Letterbox(const cv::Mat &image, int side, const Table &table, float *out);

// The class of each pixel: planes of `probs`, each `rows` x `stride` floats, cut to `valid`, resized to `size`; of the
// highest values the first class. 8-bit, `size`.
cv::Mat ClassMap(const float *probs, int num_classes, int rows, int stride, cv::Size valid, cv::Size size);

}  // namespace segment

#endif  // ASCEND310_INFER_INC_LETTERBOX_H_
