// Decoding of pictures (OpenCV) and masks (libpng: OpenCV would turn a palette's indices into colours).
#include "inc/picture.h"

#include <png.h>

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstring>
#include <opencv2/imgcodecs.hpp>
#include <vector>

#include "inc/errors.h"

namespace segment {
namespace {

constexpr png_uint_32 kLargestSide = 65536;
constexpr size_t kMostBytes = 0x7FFFFFFF;  // OpenCV counts them in an int

// libpng's source and its error message.
struct Source {
  const std::string *bytes;
  size_t position;
  std::array<char, 128> message;
};

void ReadBytes(png_structp png, png_bytep target, png_size_t count) {
  auto *source = static_cast<Source *>(png_get_io_ptr(png));
  if (count > source->bytes->size() - source->position) {
    png_error(png, "ends too early");
  }
  std::memcpy(target, source->bytes->data() + source->position, count);
  source->position += count;
}

[[noreturn]] void KeepError(png_structp png, png_const_charp message) {
  auto *source = static_cast<Source *>(png_get_error_ptr(png));
  std::strncpy(source->message.data(), message, source->message.size() - 1);
  png_longjmp(png, 1);
}

void IgnoreWarning(png_structp, png_const_charp) {}

struct Png {  // frees libpng's memory
  png_structp png = nullptr;
  png_infop info = nullptr;
  explicit Png(Source *source) : png(png_create_read_struct(PNG_LIBPNG_VER_STRING, source, KeepError, IgnoreWarning)) {
    info = png != nullptr ? png_create_info_struct(png) : nullptr;
  }
  Png(const Png &) = delete;
  Png &operator=(const Png &) = delete;
  ~Png() { png_destroy_read_struct(&png, &info, nullptr); }
};

// False on libpng's error. libpng comes back here by longjmp, so no object with a destructor may live in this frame.
bool ReadHeader(const Png &png, Source *source) {
  if (setjmp(png_jmpbuf(png.png)) != 0) return false;
  png_set_read_fn(png.png, source, ReadBytes);
  png_set_user_limits(png.png, kLargestSide, kLargestSide);
  png_read_info(png.png, png.info);
  png_set_packing(png.png);  // indices of 1, 2 and 4 bits, one a byte
  if (png_get_color_type(png.png, png.info) == PNG_COLOR_TYPE_GRAY) png_set_expand_gray_1_2_4_to_8(png.png);
  png_set_interlace_handling(png.png);
  png_read_update_info(png.png, png.info);
  return true;
}

bool ReadRows(const Png &png, png_bytepp rows) {
  if (setjmp(png_jmpbuf(png.png)) != 0) return false;
  png_read_image(png.png, rows);
  return true;
}

InputError Damaged(const std::string &name, const Source &source) {
  return InputError(name + ": damaged mask (" + source.message.data() + ")");
}

std::string SizeText(cv::Size size) { return std::to_string(size.width) + "x" + std::to_string(size.height); }

// Whether a JPEG has a scan (FF DA) without an end (FF D9) after it; the segments before it are skipped.
bool IsCut(const std::string &bytes) {
  const auto byte = [&bytes](size_t place) { return static_cast<size_t>(static_cast<unsigned char>(bytes[place])); };
  size_t place = 2;
  while (place + 1 < bytes.size() && byte(place) == 0xFF) {
    if (byte(place + 1) == 0xDA) return bytes.find("\xff\xd9", place) == std::string::npos;
    if (byte(place + 1) == 0xFF) {
      ++place;  // a filling byte
    } else {
      if (place + 3 >= bytes.size()) return false;
      place += 2 + 256 * byte(place + 2) + byte(place + 3);
    }
  }
  return false;
}

}  // namespace

cv::Mat DecodeImage(const std::string &bytes, const std::string &name) {
  // OpenCV fills the missing part of a truncated JPEG with grey.
  if (bytes.compare(0, 2, "\xff\xd8") == 0 && IsCut(bytes)) throw InputError(name + ": the JPEG ends too early");
  cv::Mat image;
  if (!bytes.empty() && bytes.size() <= kMostBytes) {
    const cv::Mat encoded(1, static_cast<int>(bytes.size()), CV_8U, const_cast<char *>(bytes.data()));
    try {
      image = cv::imdecode(encoded, cv::IMREAD_COLOR);
    } catch (const cv::Exception &) {  // sizes beyond OpenCV's limit
      image.release();
    }
  }
  if (image.empty()) throw InputError(name + ": is not a picture that OpenCV can read");
  return image;
}

cv::Mat DecodeMask(const std::string &bytes, const std::string &name, cv::Size size, const std::string &image_name) {
  if (bytes.size() < 8 || png_sig_cmp(reinterpret_cast<png_const_bytep>(bytes.data()), 0, 8) != 0) {
    throw InputError(name + ": is not a PNG; masks are 8-bit palette or gray PNGs");
  }
  Source source{&bytes, 0, {}};
  const Png png(&source);
  if (png.info == nullptr) throw RunError(name + ": libpng cannot start");
  if (!ReadHeader(png, &source)) throw Damaged(name, source);
  const int colour = png_get_color_type(png.png, png.info);
  if ((colour != PNG_COLOR_TYPE_GRAY && colour != PNG_COLOR_TYPE_PALETTE) ||
      png_get_bit_depth(png.png, png.info) != 8) {
    throw InputError(name + ": a colour or 16-bit PNG is not a class mask; give 8-bit palette or gray class numbers");
  }
  const cv::Size own(static_cast<int>(png_get_image_width(png.png, png.info)),
                     static_cast<int>(png_get_image_height(png.png, png.info)));
  if (own != size) {
    throw InputError(name + ": " + SizeText(own) + " but its picture " + image_name + " has " + SizeText(size));
  }
  cv::Mat mask(own, CV_8U);
  std::vector<png_bytep> rows(static_cast<size_t>(mask.rows));
  for (int row = 0; row < mask.rows; ++row) rows[static_cast<size_t>(row)] = mask.ptr(row);
  if (!ReadRows(png, rows.data())) throw Damaged(name, source);
  return mask;
}

void CheckLabels(const cv::Mat &mask, int num_classes, int ignore_label, const std::string &name) {
  std::array<bool, 256> seen{};
  for (int row = 0; row < mask.rows; ++row) {
    const uchar *pixels = mask.ptr(row);
    for (int column = 0; column < mask.cols; ++column) seen[pixels[column]] = true;
  }
  for (int value = num_classes; value < 256; ++value) {
    if (seen[static_cast<size_t>(value)] && value != ignore_label) {
      throw InputError(name + ": mask value " + std::to_string(value) + " is neither a class (0 to " +
                       std::to_string(num_classes - 1) + ") nor ignore_label " + std::to_string(ignore_label));
    }
  }
}

}  // namespace segment
