// Golden cases for the tests of model, training and data.
#include "support/golden.hpp"

#include <fstream>

#include "mtrain/base/error.hpp"
#include "mtrain/checkpoint/safetensors.hpp"

namespace mtrain::test {

std::filesystem::path golden_dir() {
  return MTRAIN_SOURCE_DIR "/tests/golden/data";
}

at::Tensor whole(const checkpoint::TensorSource& source, const std::string& name) {
  const auto* info = source.find(name);
  MT_CHECK(info != nullptr, "no golden tensor ", name);
  return source.read(
      {name, info->shape, parallel::Shape(info->shape.size(), 0), info->shape});
}

GoldenCase::GoldenCase(const std::string& name) {
  const std::string base = (golden_dir() / name).string();
  std::ifstream(base + ".json") >> json_;
  tensors_ = checkpoint::open_safetensors(base + ".safetensors");
}

at::Tensor GoldenCase::gradient(const std::string& parameter) const {
  const std::string name = "grad." + parameter;
  const at::Tensor value = tensor(name).to(at::kDouble);
  return has(name + "@scale") ? value * tensor(name + "@scale").item<double>() : value;
}

std::filesystem::path GoldenCase::model_dir() const {
  return golden_dir() / "models" / json_.at("model").get<std::string>();
}

double relative_error(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor x = a.to(at::kDouble), y = b.to(at::kDouble);
  const double scale = y.abs().max().item<double>();
  return (x - y).abs().max().item<double>() / (scale > 0 ? scale : 1.0);
}

}  // namespace mtrain::test
