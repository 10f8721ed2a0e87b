// Model::Build and Predict; every Status is checked.
#include "inc/predictor.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <thread>

#include "inc/errors.h"
#include "inc/files.h"

namespace segment {
namespace {

// A file whose first field is not MindIR's version string is not given to the SDK: some of them end the process there.
constexpr int kFirstField = 0x0A;

std::shared_ptr<mindspore::DeviceInfoContext> Device(const Options &options) {
  const auto id = static_cast<uint32_t>(options.device_id);
  if (options.device_type == "Ascend") {
    auto device = std::make_shared<mindspore::AscendDeviceInfo>();
    device->SetDeviceID(id);
    if (!options.fusion_switch_path.empty()) device->SetFusionSwitchConfigPath(options.fusion_switch_path);
    return device;
  }
  if (options.device_type == "GPU") {
    auto device = std::make_shared<mindspore::GPUDeviceInfo>();
    device->SetDeviceID(id);
    return device;
  }
  return std::make_shared<mindspore::CPUDeviceInfo>();
}

std::shared_ptr<mindspore::Context> MakeContext(const Options &options) {
  auto context = std::make_shared<mindspore::Context>();
  const unsigned cores = std::max(1U, std::thread::hardware_concurrency());
  context->SetThreadNum(options.threads > 0 ? options.threads : static_cast<int>(cores));
  context->MutableDeviceInfo().push_back(Device(options));
  return context;
}

std::string ShapeText(const std::vector<int64_t> &shape) {
  std::string text;
  for (const int64_t length : shape) text += (text.empty() ? "(" : ", ") + std::to_string(length);
  return text + ")";
}

}  // namespace

Predictor::Predictor(const Options &options) : path_(options.mindir_path) {
  const std::string where = "--mindir_path " + path_ + ": ";
  if (FirstByte(path_) != kFirstField) throw InputError(where + "is not a MINDIR");
  if (!options.fusion_switch_path.empty() && !IsFile(options.fusion_switch_path)) {
    throw InputError("--fusion_switch_path " + options.fusion_switch_path + ": no such file");
  }
  const mindspore::Status status = model_.Build(path_, mindspore::kMindIR, MakeContext(options));
  if (!status.IsOk()) {
    throw InputError(where + "cannot be built for " + options.device_type + " (" + status.ToString() +
                     "); MindSpore Lite 2.0 and older read what export.py --mindir_version 1 writes");
  }
  inputs_ = model_.GetInputs();
  if (inputs_.size() != 1) throw InputError(where + std::to_string(inputs_.size()) + " inputs, but one is expected");
  Resize(options);
  const std::vector<int64_t> &in = inputs_[0].Shape();
  if (in.size() != 4 || in[0] < 1 || in[1] != 3 || in[2] != in[3] ||
      inputs_[0].DataType() != mindspore::DataType::kNumberTypeFloat32) {
    throw InputError(where + "takes " + ShapeText(in) + " where float32 (N, 3, S, S) is expected; "
                     "export it with --input_type float32 --input_format NCHW");
  }
  shape_ = {static_cast<int>(in[0]), static_cast<int>(in[2]), 0};
  std::memset(inputs_[0].MutableData(), 0, inputs_[0].DataSize());
  Predict();  // the first call is slower and not measured; the output's shape is known after it
  CheckOutput(where);
}

void Predictor::CheckOutput(const std::string &where) {
  const std::vector<int64_t> &in = inputs_[0].Shape();
  const std::vector<int64_t> &out = outputs_[0].Shape();
  if (out.size() != 4 || out[0] != in[0] || out[1] < 2 || out[1] > 255 || out[2] != in[2] || out[3] != in[3]) {
    throw InputError(where + "gives " + ShapeText(out) + " for " + ShapeText(in) + ", no probabilities of classes");
  }
  shape_.classes = static_cast<int>(out[1]);
  const auto *probs = static_cast<const float *>(data_.get());
  float sum = 0;  // of the first pixel
  for (int64_t number = 0; number < out[1]; ++number) sum += probs[number * out[2] * out[3]];
  if (!(std::abs(sum - 1) < 0.01F)) {
    throw InputError(where + "gives numbers that sum to " + std::to_string(sum) +
                     " in a pixel, no probabilities; export it with its softmax, as export.py does");
  }
}

void Predictor::Resize(const Options &options) {
  std::vector<int64_t> wanted = inputs_[0].Shape();
  if (wanted.size() != 4) return;
  if (options.batch > 0) wanted[0] = options.batch;
  if (options.size > 0) wanted[2] = wanted[3] = options.size;
  if (wanted == inputs_[0].Shape()) return;
  const std::string exported = ShapeText(inputs_[0].Shape());
  if (!model_.Resize(inputs_, {wanted}).IsOk()) {
    throw InputError("--batch, --size: " + path_ + " was exported for " + exported + " and cannot be resized to " +
                     ShapeText(wanted) + "; export it for that");
  }
  inputs_ = model_.GetInputs();
}

void Predictor::Predict() {
  const mindspore::Status status = model_.Predict(inputs_, &outputs_);
  if (!status.IsOk() || outputs_.empty()) throw RunError(path_ + ": Predict failed (" + status.ToString() + ")");
  data_ = outputs_[0].Data();
  if (data_ == nullptr || outputs_[0].DataType() != mindspore::DataType::kNumberTypeFloat32) {
    throw RunError(path_ + ": Predict gave no float32 values");
  }
}

const float *Predictor::Run(const std::vector<float> &input) {
  const size_t size = input.size() * sizeof(float);
  if (inputs_[0].DataSize() != size) throw RunError(path_ + ": the input's size changed");
  std::memcpy(inputs_[0].MutableData(), input.data(), size);
  Predict();
  return static_cast<const float *>(data_.get());
}

}  // namespace segment
