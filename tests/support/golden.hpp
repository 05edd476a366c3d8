// Reading the reference tensors in tests/golden/data.
#pragma once

#include <ATen/ATen.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "mtrain/checkpoint/tensor_source.hpp"

namespace mtrain::test {

/// Folder of the reference data.
std::filesystem::path golden_dir();

/// All of one tensor of a safetensors file, whatever its dtype.
at::Tensor whole(const checkpoint::TensorSource& source, const std::string& name);

/// One case: its tensors and its json.
class GoldenCase {
 public:
  /// "tiny-qwen3/fwdbwd"
  explicit GoldenCase(const std::string& name);

  const nlohmann::json& json() const { return json_; }
  bool has(const std::string& tensor) const { return tensors_->find(tensor) != nullptr; }
  at::Tensor tensor(const std::string& name) const { return whole(*tensors_, name); }
  /// A gradient in fp64, int16 storage undone.
  at::Tensor gradient(const std::string& parameter) const;
  std::filesystem::path model_dir() const;

 private:
  nlohmann::json json_;
  std::unique_ptr<checkpoint::TensorSource> tensors_;
};

/// max|a - b| / max|b|, in fp64.
double relative_error(const at::Tensor& a, const at::Tensor& b);

}  // namespace mtrain::test
