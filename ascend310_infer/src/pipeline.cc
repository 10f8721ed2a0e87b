// The three stages of a run; std::async runs reading and writing, and passes their errors to the caller.
#include "inc/pipeline.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <ctime>
#include <future>
#include <iostream>
#include <map>
#include <opencv2/imgcodecs.hpp>
#include <utility>

#include "inc/errors.h"
#include "inc/picture.h"
#include "inc/text.h"

namespace segment {
namespace {

using Clock = std::chrono::steady_clock;
constexpr double kSecondsBetweenLines = 10;

struct Sample {
  Pair pair;
  cv::Mat mask;
  cv::Size valid;                 // the picture's size in the network's input
  std::vector<uchar> candidates;  // classes that can win
};

struct Batch {
  std::vector<Sample> samples;
  std::vector<float> input;
  std::vector<std::string> bad;
  double read_ms = 0;
};

double Milliseconds(Clock::duration duration) { return std::chrono::duration<double, std::milli>(duration).count(); }

double ThreadMilliseconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

class Stages {
 public:
  Stages(const std::vector<Pair> &pairs, const Options &options, const ModelShape &shape, ConfusionMatrix *matrix)
      : pairs_(pairs),
        options_(options),
        shape_(shape),
        matrix_(matrix),
        table_(NormalisationTable(options.mean, options.std)),
        plane_(static_cast<size_t>(shape.size) * static_cast<size_t>(shape.size)) {}

  Batch Read(size_t first) const {
    const double start = ThreadMilliseconds();
    Batch batch;
    batch.input.resize(static_cast<size_t>(shape_.batch) * 3 * plane_);  // 0 beside the pictures and for missing ones
    const size_t last = std::min(first + static_cast<size_t>(shape_.batch), pairs_.size());
    for (size_t number = first; number < last; ++number) {
      try {
        float *place = batch.input.data() + batch.samples.size() * 3 * plane_;
        batch.samples.push_back(ReadSample(pairs_[number], place));
      } catch (const InputError &error) {
        batch.bad.emplace_back(error.what());
      } catch (const std::exception &error) {  // memory, above all
        batch.bad.emplace_back(Join(options_.dataset_path, pairs_[number].image) + ": " + FirstLine(error.what()));
      }
      if (!batch.bad.empty() && !options_.skip_bad) break;
    }
    batch.read_ms = ThreadMilliseconds() - start;
    return batch;
  }

  // Keep only the needed probabilities: without --dump_probs the rows of the pictures, of their candidates.
  void Keep(const float *probs, Batch *batch, std::vector<float> *kept) const {
    const size_t step = static_cast<size_t>(shape_.classes) * plane_;
    kept->resize(batch->samples.size() * step);
    for (size_t number = 0; number < batch->samples.size(); ++number) {
      Sample &sample = batch->samples[number];
      const float *from = probs + number * step;
      float *to = kept->data() + number * step;
      const size_t count = static_cast<size_t>(sample.valid.height) * static_cast<size_t>(shape_.size);
      sample.candidates = Candidates(from, shape_.classes, plane_, count);
      if (options_.dump_probs) {
        std::memcpy(to, from, step * sizeof(float));
      } else {
        for (const uchar plane : sample.candidates) {
          std::memcpy(to + plane * plane_, from + plane * plane_, count * sizeof(float));
        }
      }
    }
  }

  double Write(const Batch &batch, const std::vector<float> &probs) const {
    const double start = ThreadMilliseconds();
    const size_t step = static_cast<size_t>(shape_.classes) * plane_;
    for (size_t number = 0; number < batch.samples.size(); ++number) {
      WriteSample(batch.samples[number], probs.data() + number * step);
    }
    return ThreadMilliseconds() - start;
  }

 private:
  Sample ReadSample(const Pair &pair, float *input) const {
    const std::string image_path = Join(options_.dataset_path, pair.image);
    const std::string mask_path = Join(options_.mask_path, pair.mask);
    const cv::Mat image = DecodeImage(ReadFile(image_path), image_path);
    Sample sample{pair, DecodeMask(ReadFile(mask_path), mask_path, image.size(), image_path), {}, {}};
    CheckLabels(sample.mask, shape_.classes, options_.ignore_label, mask_path);
    sample.valid = Letterbox(image, shape_.size, table_, input);
    return sample;
  }

  void WriteSample(const Sample &sample, const float *probs) const {
    const std::string stem = Join(Join(options_.output_dir, "result_Files"), Stem(sample.pair.image));
    const cv::Mat map = ClassMap(probs, sample.candidates, shape_.size, sample.valid, sample.mask.size());
    matrix_->Update(sample.mask, map);
    std::vector<uchar> png;
    cv::imencode(".png", map, png);
    WriteFile(stem + ".png", png.data(), png.size());
    if (options_.dump_probs) {
      WriteFile(stem + "_0.bin", probs, static_cast<size_t>(shape_.classes) * plane_ * sizeof(float));
    }
  }

  const std::vector<Pair> &pairs_;
  const Options &options_;
  const ModelShape shape_;
  ConfusionMatrix *const matrix_;  // used by the writing thread alone
  const Table table_;
  const size_t plane_;
};

void Say(size_t done, size_t total, Clock::time_point start, Clock::time_point *said) {
  const Clock::time_point now = Clock::now();
  if (Milliseconds(now - *said) < kSecondsBetweenLines * 1e3) return;
  *said = now;
  std::cout << "processed " << done << " of " << total << " images, "
            << static_cast<double>(done) * 1e3 / Milliseconds(now - start) << " images/s" << std::endl;
}

}  // namespace

bool MakeRelative(const Options &options, std::vector<Pair> *pairs) {
  bool found = false;
  const auto relative = [&found](const std::string &folder, std::string *name) {
    const std::string bare = name->substr(std::min(name->find_first_not_of('/'), name->size()));
    if (bare == *name || IsFile(*name) || !IsFile(Join(folder, bare))) return;
    *name = bare;
    found = true;
  };
  for (Pair &pair : *pairs) {
    relative(options.dataset_path, &pair.image);
    relative(options.mask_path, &pair.mask);
  }
  return found;
}

void CheckPairs(const std::vector<Pair> &pairs, const Options &options) {
  std::map<std::string, std::string> images;  // by the name of their results
  for (const Pair &pair : pairs) {
    const auto [place, is_new] = images.emplace(Stem(pair.image), pair.image);
    if (!is_new && place->second != pair.image) {
      throw InputError("--image_list " + options.image_list + ": " + place->second + " and " + pair.image +
                       " would both write result_Files/" + place->first + ".png; give them lists of their own");
    }
    for (const std::string &path : {Join(options.dataset_path, pair.image), Join(options.mask_path, pair.mask)}) {
      if (!options.skip_bad && !IsFile(path)) {
        throw InputError(path + ": no such file, though " + options.image_list + " lists it");
      }
    }
  }
}

Summary Run(const std::vector<Pair> &pairs, const Options &options, const ModelShape &shape, const Predict &predict,
            ConfusionMatrix *matrix) {
  const Stages stages(pairs, options, shape, matrix);
  const auto step = static_cast<size_t>(shape.batch);
  const auto read = [&stages](size_t first) {
    return std::async(std::launch::async, [&stages, first] { return stages.Read(first); });
  };
  Summary summary;
  std::array<std::vector<float>, 2> probs;  // one is written to files while the network fills the other
  const Clock::time_point start = Clock::now();
  Clock::time_point said = start;
  std::future<Batch> next = read(0);
  std::future<double> written;  // after `probs`: it ends before they do
  bool stop = false;
  for (size_t first = 0; first < pairs.size() && !stop; first += step) {
    Batch batch = next.get();
    summary.read_ms += batch.read_ms;
    summary.bad.insert(summary.bad.end(), batch.bad.begin(), batch.bad.end());
    stop = !options.skip_bad && !batch.bad.empty();
    if (!stop && first + step < pairs.size()) next = read(first + step);
    if (batch.samples.empty()) continue;
    std::vector<float> &kept = probs[summary.calls % 2];
    const Clock::time_point before = Clock::now();
    const float *result = predict(batch.input);
    const Clock::time_point after = Clock::now();
    stages.Keep(result, &batch, &kept);
    summary.copy_ms += Milliseconds(Clock::now() - after);
    summary.predict_ms += Milliseconds(after - before);
    ++summary.calls;
    summary.images += batch.samples.size();
    if (written.valid()) summary.write_ms += written.get();
    written = std::async(std::launch::async,
                         [&stages, &kept, batch = std::move(batch)] { return stages.Write(batch, kept); });
    Say(summary.images, pairs.size(), start, &said);
  }
  if (written.valid()) summary.write_ms += written.get();
  return summary;
}

}  // namespace segment
