// Pictures and masks from encoded bytes, with errors that name the file.
#ifndef ASCEND310_INFER_INC_PICTURE_H_
#define ASCEND310_INFER_INC_PICTURE_H_

#include <opencv2/core.hpp>
#include <string>

namespace segment {

// Encoded picture -> 8-bit blue green red. Throws InputError if it is not a picture or ends too early.
cv::Mat DecodeImage(const std::string &bytes, const std::string &name);

// PNG -> 8-bit class numbers: the indices of a palette PNG, the values of a gray one; never colours.
// Throws InputError for any other PNG (colour, alpha, 16 bits), another format, damaged files, and another size than
// `size`, that of the picture `image_name`; sizes are compared before decoding.
cv::Mat DecodeMask(const std::string &bytes, const std::string &name, cv::Size size, const std::string &image_name);

// Throws InputError if `mask` holds a value that is neither a class nor `ignore_label`.
void CheckLabels(const cv::Mat &mask, int num_classes, int ignore_label, const std::string &name);

}  // namespace segment

#endif  // ASCEND310_INFER_INC_PICTURE_H_
