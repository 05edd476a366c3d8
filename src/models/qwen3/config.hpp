// Sizes of a dense Qwen3 model.
#pragma once

#include <nlohmann/json.hpp>

#include "mtrain/models/model.hpp"

namespace mtrain::models::qwen3 {

struct Sizes {
  int64_t vocab, hidden, ffn, layers, heads, kv_heads, head_dim;
  int64_t max_positions;
  double rms_norm_eps, rope_theta, initializer_range;
  bool tied;
  at::ScalarType dtype;
};

class Config : public ModelConfig {
 public:
  /// Throws UserError naming `where` and every fault of the file.
  Config(const nlohmann::json& json, const std::string& where);

  const Sizes& sizes() const { return sizes_; }
  std::string family() const override { return "qwen3"; }
  int layers() const override { return static_cast<int>(sizes_.layers); }
  int64_t vocab_size() const override { return sizes_.vocab; }
  int64_t head_dim() const override { return sizes_.head_dim; }
  at::ScalarType dtype() const override { return sizes_.dtype; }
  double initializer_range() const override { return sizes_.initializer_range; }
  int64_t parameters() const override;
  double flops_per_token(double length) const override;
  std::vector<LogicalTensor> tensors() const override;
  std::vector<std::string> layout_faults(const comm::GridSizes& sizes) const override;
  ActivationMemory activation_memory(const ActivationShape& shape) const override;
  std::unique_ptr<Model> make(const comm::ProcessGroups& groups,
                              const ModelOptions& options) const override;

 private:
  Sizes sizes_;
};

}  // namespace mtrain::models::qwen3
