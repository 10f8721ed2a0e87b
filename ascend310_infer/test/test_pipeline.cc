// A complete run with a function in place of the network: three classes that follow the picture's channels.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <opencv2/imgcodecs.hpp>

#include "inc/errors.h"
#include "inc/files.h"
#include "inc/pipeline.h"
#include "test/check.h"

namespace {

namespace fs = std::filesystem;

constexpr int kSide = 17;
constexpr int kPictures = 7;

// Probabilities of three classes that follow the channels; the last is much lower, so that it is often no candidate.
std::vector<float> Softmax(const std::vector<float> &input) {
  std::vector<float> probs(input.size());
  const size_t plane = kSide * kSide;
  for (size_t i = 0; i < input.size(); ++i) {
    const size_t first = i / (3 * plane) * 3 * plane + i % plane;
    float sum = 0;
    const auto power = [&](size_t channel) {
      return std::exp(input[first + channel * plane] - (channel == 2 ? 8.0F : 0.0F));
    };
    for (size_t channel = 0; channel < 3; ++channel) sum += power(channel);
    probs[i] = power(i / plane % 3) / sum;
  }
  return probs;
}

// A new folder of pictures 0.png, 1.png, ... and masks of class 0 and void; it is removed at the end.
class Folder {
 public:
  Folder() : root_(fs::temp_directory_path() / "segment pipeline") {
    fs::remove_all(root_);
    fs::create_directories(root_ / "out/result_Files");
    cv::RNG random(3);
    for (int i = 0; i < kPictures; ++i) {
      cv::Mat image(random.uniform(1, 40), random.uniform(1, 40), CV_8UC3);
      random.fill(image, cv::RNG::UNIFORM, 0, 256);
      cv::imwrite(Path(std::to_string(i) + ".png"), image);
      cv::imwrite(Path(std::to_string(i) + "_mask.png"), cv::Mat::zeros(image.size(), CV_8U));
      pairs.push_back({std::to_string(i) + ".png", std::to_string(i) + "_mask.png"});
    }
    options.dataset_path = options.mask_path = root_.string();
    options.output_dir = Path("out");
  }
  Folder(const Folder &) = delete;
  Folder &operator=(const Folder &) = delete;
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(root_, ignored);
  }

  std::string Path(const std::string &name) const { return (root_ / name).string(); }

  segment::Summary Run(int batch, segment::ConfusionMatrix *matrix) const {
    std::vector<float> probs;
    const auto predict = [&probs](const std::vector<float> &input) { return (probs = Softmax(input)).data(); };
    return segment::Run(pairs, options, {batch, kSide, 3}, predict, matrix);
  }

  std::vector<segment::Pair> pairs;
  segment::Options options;

 private:
  fs::path root_;
};

void BatchesDoNotMatter() {
  const Folder folder;
  segment::ConfusionMatrix one(3, 255);
  segment::ConfusionMatrix three(3, 255);
  const segment::Summary single = folder.Run(1, &one);
  const segment::Summary batched = folder.Run(3, &three);
  CHECK(single.images == kPictures && single.calls == kPictures && batched.calls == 3 && batched.images == kPictures);
  int64_t all = 0;
  for (size_t prediction = 0; prediction < 3; ++prediction) {
    CHECK(one.count(0, prediction) == three.count(0, prediction));
    all += one.count(0, prediction);
  }
  int64_t pixels = 0;
  for (int i = 0; i < kPictures; ++i) {
    pixels += static_cast<int64_t>(cv::imread(folder.Path("out/result_Files/" + std::to_string(i) + ".png"), 0).total());
  }
  CHECK(all == pixels && all > 0);
}

void BadPicturesStopOrAreSkipped() {
  Folder folder;
  segment::WriteFile(folder.Path("3.png"), "text");
  segment::ConfusionMatrix matrix(3, 255);
  const segment::Summary stopped = folder.Run(2, &matrix);
  CHECK(stopped.images == 3 && stopped.bad.size() == 1 && Has(stopped.bad[0], "3.png: is not a picture"));
  CHECK(segment::IsFile(folder.Path("out/result_Files/2.png")) && matrix.TruthPixels()[0] > 0);
  folder.options.skip_bad = true;
  fs::remove(folder.Path("5_mask.png"));
  const segment::Summary skipped = folder.Run(2, &matrix);
  CHECK(skipped.images == 5 && skipped.bad.size() == 2 && Has(skipped.bad[1], "5_mask.png: No such file"));
}

void SizesMustAgree() {
  const Folder folder;
  cv::imwrite(folder.Path("0_mask.png"), cv::Mat::zeros(50, 60, CV_8U));
  segment::ConfusionMatrix matrix(3, 255);
  const segment::Summary summary = folder.Run(1, &matrix);
  CHECK(summary.images == 0 && Has(summary.bad.at(0), "0_mask.png: 60x50 but its picture"));
}

void ErrorsReachTheCaller() {
  const Folder folder;
  segment::ConfusionMatrix matrix(3, 255);
  const auto fail = [](const std::vector<float> &) -> const float * { throw segment::RunError("broken device"); };
  CHECK(Thrown<segment::RunError>([&] { segment::Run(folder.pairs, folder.options, {1, kSide, 3}, fail, &matrix); }) ==
        "broken device");
  fs::remove_all(folder.Path("out"));
  CHECK(Has(Thrown<segment::RunError>([&] { folder.Run(1, &matrix); }), "0.png: cannot be written"));
}

void PairsAreChecked() {
  Folder folder;
  segment::CheckPairs(folder.pairs, folder.options);
  folder.pairs.push_back(folder.pairs[0]);  // a picture listed twice is the same picture
  segment::CheckPairs(folder.pairs, folder.options);
  folder.pairs.push_back({"gone.png", "0_mask.png"});
  CHECK(Has(Thrown<segment::InputError>([&] { segment::CheckPairs(folder.pairs, folder.options); }), "gone.png: no such"));
  folder.options.skip_bad = true;
  segment::CheckPairs(folder.pairs, folder.options);
  folder.pairs.push_back({"other/0.jpg", "0_mask.png"});
  CHECK(Has(Thrown<segment::InputError>([&] { segment::CheckPairs(folder.pairs, folder.options); }), "both write"));
}

void LeadingSlashesAreRelative() {
  Folder folder;
  const std::string there = folder.Path("1.png");
  CHECK(!segment::MakeRelative(folder.options, &folder.pairs));
  folder.pairs = {{"/0.png", "//0_mask.png"}, {there, "/no/such.png"}};
  CHECK(segment::MakeRelative(folder.options, &folder.pairs));
  CHECK(folder.pairs[0].image == "0.png" && folder.pairs[0].mask == "0_mask.png");
  CHECK(folder.pairs[1].image == there && folder.pairs[1].mask == "/no/such.png");
}

void ProbabilitiesAreDumped() {
  Folder folder;
  folder.options.dump_probs = true;
  segment::ConfusionMatrix matrix(3, 255);
  folder.Run(2, &matrix);
  CHECK(segment::ReadFile(folder.Path("out/result_Files/6_0.bin")).size() == 3 * kSide * kSide * sizeof(float));
  const std::string map = segment::ReadFile(folder.Path("out/result_Files/6.png"));
  folder.options.dump_probs = false;  // keeps candidates only
  segment::ConfusionMatrix again(3, 255);
  folder.Run(2, &again);
  CHECK(segment::ReadFile(folder.Path("out/result_Files/6.png")) == map);
  for (size_t prediction = 0; prediction < 3; ++prediction) {
    CHECK(again.count(0, prediction) == matrix.count(0, prediction));
  }
}

}  // namespace

Tests PipelineTests() {
  return {{"batches do not matter", BatchesDoNotMatter},
          {"bad pictures stop or are skipped", BadPicturesStopOrAreSkipped},
          {"sizes must agree", SizesMustAgree},
          {"errors reach the caller", ErrorsReachTheCaller},
          {"pairs are checked", PairsAreChecked},
          {"leading slashes are relative", LeadingSlashesAreRelative},
          {"probabilities are dumped", ProbabilitiesAreDumped}};
}
