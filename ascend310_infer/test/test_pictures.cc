// Decoding, letterbox sizes and class maps.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "inc/errors.h"
#include "inc/letterbox.h"
#include "inc/picture.h"
#include "test/check.h"

namespace {

using segment::InputError;

std::string Encode(const cv::Mat &picture, const std::string &extension) {
  std::vector<uchar> bytes;
  cv::imencode(extension, picture, bytes);
  return {bytes.begin(), bytes.end()};
}

cv::Mat Random(int rows, int columns, int type) {
  cv::Mat picture(rows, columns, type);
  cv::RNG random(1);
  random.fill(picture, cv::RNG::UNIFORM, 0, 256);
  return picture;
}

uint32_t Crc32(const std::string &bytes) {  // PNG's
  uint32_t check = 0xFFFFFFFFU;
  for (const char byte : bytes) {
    check ^= static_cast<unsigned char>(byte);
    for (int bit = 0; bit < 8; ++bit) check = (check >> 1U) ^ ((check & 1U) != 0 ? 0xEDB88320U : 0U);
  }
  return ~check;
}

bool Equal(const cv::Mat &a, const cv::Mat &b) {
  return a.size() == b.size() && a.type() == b.type() && cv::norm(a, b, cv::NORM_INF) == 0;
}

void ImagesAreDecoded() {
  const cv::Mat picture = Random(20, 30, CV_8UC3);
  CHECK(Equal(segment::DecodeImage(Encode(picture, ".png"), "x"), picture));
  const std::string jpeg = Encode(picture, ".jpg");
  CHECK(segment::DecodeImage(jpeg, "x").size() == picture.size());
  const std::string cut = jpeg.substr(0, jpeg.size() / 2);
  CHECK(Has(Thrown<InputError>([&] { segment::DecodeImage(cut, "cut.jpg"); }), "cut.jpg: the JPEG ends too early"));
  CHECK(segment::DecodeImage(jpeg + "\xff\xd8 a film \xff\xda after it", "motion.jpg").size() == picture.size());
  for (const std::string bytes : {"", "text", "\xff\xd8", "\xff\xd8\xff\xd9"}) {
    CHECK(Has(Thrown<InputError>([&] { segment::DecodeImage(bytes, "a.jpg"); }), "a.jpg: is not a picture"));
  }
}

void MasksAreClassNumbers() {
  const cv::Mat mask = Random(7, 9, CV_8U);
  const auto decoded = [&mask](const std::string &bytes) { return segment::DecodeMask(bytes, "m", mask.size(), "i"); };
  const auto refused = [&decoded](const std::string &bytes) { return Thrown<InputError>([&] { decoded(bytes); }); };
  const std::string png = Encode(mask, ".png");
  CHECK(Equal(decoded(png), mask));
  CHECK(Has(refused(png.substr(0, png.size() - 20)), "m: damaged mask (ends too early)"));
  for (const int type : {CV_8UC3, CV_8UC4, CV_16U}) {
    CHECK(Has(refused(Encode(Random(7, 9, type), ".png")), "m: a colour or 16-bit"));
  }
  CHECK(Has(refused(Encode(mask, ".jpg")), "m: is not a PNG") && Has(refused(""), "m: is not a PNG"));
}

void SizesAreComparedBeforeDecoding() {
  std::string bomb = Encode(Random(7, 9, CV_8U), ".png").substr(0, 33);  // 8 bytes of signature, 25 of IHDR
  bomb.replace(16, 8, std::string("\0\0\xEA\x60\0\0\xEA\x60", 8));  // 60000x60000: 3.6 GB
  const uint32_t check = Crc32(bomb.substr(12, 17));
  for (size_t place = 0; place < 4; ++place) bomb[29 + place] = static_cast<char>(check >> (24 - 8 * place));
  bomb += std::string("\0\0\0\0IDAT\x35\xAF\x06\x1E", 12);
  const auto decode = [&bomb] { segment::DecodeMask(bomb, "m.png", cv::Size(9, 7), "i.jpg"); };
  CHECK(Thrown<InputError>(decode) == "m.png: 60000x60000 but its picture i.jpg has 9x7");
}

void LabelsAreChecked() {
  const cv::Mat mask = (cv::Mat_<uchar>(1, 3) << 0, 5, 255);
  segment::CheckLabels(mask, 6, 255, "m");
  CHECK(Has(Thrown<InputError>([&] { segment::CheckLabels(mask, 5, 255, "m"); }), "m: mask value 5 is neither"));
  CHECK(Has(Thrown<InputError>([&] { segment::CheckLabels(mask, 6, 254, "m"); }), "mask value 255"));
}

void SizesAreTruncatedExactly() {
  for (int height = 1; height < 402; ++height) {
    for (int width = 1; width < 402; ++width) {
      const cv::Size size = segment::LetterboxSize(height, width, 513);
      const int published = static_cast<int>(1.0 * 513 * std::min(height, width) / std::max(height, width));
      CHECK(size == (height > width ? cv::Size(std::max(1, published), 513) : cv::Size(513, std::max(1, published))));
    }
  }
  CHECK(segment::LetterboxSize(207, 138, 513) == cv::Size(342, 513));  // 341 in 32-bit floats
  CHECK(segment::LetterboxSize(1, 4000, 513) == cv::Size(513, 1));
  CHECK(segment::LetterboxSize(65500, 65500, 16384) == cv::Size(16384, 16384));
}

void LetterboxNormalises() {
  const cv::Mat image = Random(30, 40, CV_8UC3);
  const auto table = segment::NormalisationTable({103.53, 116.28, 123.675}, {57.375, 57.12, 58.395});
  std::vector<float> out(3 * 40 * 40, 9.0F);  // unchanged outside the picture
  CHECK(segment::Letterbox(image, 40, table, out.data()) == cv::Size(40, 30));
  for (int row = 0; row < 40; ++row) {
    for (int column = 0; column < 40; ++column) {
      const float found = out[static_cast<size_t>(2 * 1600 + row * 40 + column)];
      const double level = row < 30 ? image.at<cv::Vec3b>(row, column)[2] : 0;
      CHECK(found == (row < 30 ? static_cast<float>((level - 123.675) / 58.395) : 9.0F));
    }
  }
}

void ClassMapsTakeTheFirstOfEqualScores() {
  constexpr int kSide = 40;
  cv::Mat planes(5 * kSide, kSide, CV_32F);
  cv::RNG random(2);
  for (int i = 0; i < planes.rows * planes.cols; ++i) planes.ptr<float>()[i] = static_cast<float>(random.uniform(0, 3));
  const std::vector<uchar> all{0, 1, 2, 3, 4};
  const auto map = [&](const std::vector<uchar> &classes, cv::Size valid, cv::Size size) {
    return segment::ClassMap(planes.ptr<float>(), classes, kSide, valid, size);
  };
  const cv::Mat found = map(all, cv::Size(37, 39), cv::Size(37, 39));
  for (int row = 0; row < found.rows; ++row) {
    for (int column = 0; column < found.cols; ++column) {
      const auto score = [&](int number) { return planes.at<float>(number * kSide + row, column); };
      int best = 0;
      for (int number = 1; number < 5; ++number) best = score(number) > score(best) ? number : best;
      CHECK(found.at<uchar>(row, column) == best);
    }
  }
  CHECK(map(all, cv::Size(40, 1), cv::Size(400, 1)).size() == cv::Size(400, 1));
  CHECK(cv::countNonZero(map({}, cv::Size(8, 8), cv::Size(8, 8))) == 0);
}

void CandidatesAreAllThatWin() {
  constexpr int kClasses = 7;
  constexpr int kSide = 9;
  constexpr size_t kPlane = kSide * kSide;
  cv::RNG random(4);
  for (int trial = 0; trial < 50; ++trial) {
    std::vector<float> probs(kClasses * kPlane);
    for (size_t pixel = 0; pixel < kPlane; ++pixel) {
      float sum = 0;
      for (size_t number = 0; number < kClasses; ++number) {  // later classes are less and less likely
        const double score = random.gaussian(1) - 1.2 * static_cast<double>(number);
        sum += probs[number * kPlane + pixel] = static_cast<float>(std::exp(score));
      }
      for (size_t number = 0; number < kClasses; ++number) probs[number * kPlane + pixel] /= sum;
    }
    const std::vector<uchar> found = segment::Candidates(probs.data(), kClasses, kPlane, kPlane);
    CHECK(!found.empty() && found.size() < kClasses && std::is_sorted(found.begin(), found.end()));
    const auto map = [&](const std::vector<uchar> &classes) {
      return segment::ClassMap(probs.data(), classes, kSide, cv::Size(9, 6), cv::Size(50, 31));
    };
    CHECK(cv::countNonZero(map(found) != map({0, 1, 2, 3, 4, 5, 6})) == 0);
  }
  const std::vector<float> even(2 * 3, 0.5F);
  CHECK(segment::Candidates(even.data(), 2, 3, 3).size() == 2);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> rows{1, nan, 0.2F, 0.9F, 0, nan, 0.8F, 0.1F};  // two classes of four pixels
  CHECK(segment::Candidates(rows.data(), 2, 4, 2) == std::vector<uchar>{0});
  CHECK(segment::Candidates(rows.data(), 2, 4, 4) == (std::vector<uchar>{0, 1}));
}

}  // namespace

Tests PictureTests() {
  return {{"images are decoded", ImagesAreDecoded},
          {"masks are class numbers", MasksAreClassNumbers},
          {"sizes are compared before decoding", SizesAreComparedBeforeDecoding},
          {"labels are checked", LabelsAreChecked},
          {"sizes are truncated exactly", SizesAreTruncatedExactly},
          {"letterbox normalises", LetterboxNormalises},
          {"class maps take the first of equal scores", ClassMapsTakeTheFirstOfEqualScores},
          {"candidates are all that win", CandidatesAreAllThatWin}};
}
