// Sizes of a Qwen3 model, dense or with experts.
#pragma once

#include <nlohmann/json.hpp>

#include "mtrain/models/model.hpp"

namespace mtrain::models::qwen3 {

/// Layers with experts; without any, `count` is 0.
struct ExpertSizes {
  int64_t count = 0;
  int64_t choices = 0;  ///< experts a token is sent to
  int64_t ffn = 0;      ///< features inside one expert
  bool normalise = false;
  int64_t every = 1;  ///< each so many layers have experts, the last of them
  std::vector<int64_t> dense = {};  ///< layers that have none in any case
  double balance_coefficient = 0;   ///< router_aux_loss_coef
};

struct Sizes {
  int64_t vocab, hidden, ffn, layers, heads, kv_heads, head_dim;
  int64_t max_positions;
  double rms_norm_eps, rope_theta, initializer_range;
  bool tied;
  at::ScalarType dtype;
  ExpertSizes experts;

  bool has_experts(int64_t layer) const;
  int64_t layers_with_experts() const;
};

class Config : public ModelConfig {
 public:
  /// `json` is of model_type qwen3 or qwen3_moe. Throws UserError naming `where` and
  /// every fault of the file.
  Config(const nlohmann::json& json, const std::string& where);

  const Sizes& sizes() const { return sizes_; }
  std::string family() const override {
    return sizes_.experts.count > 0 ? "qwen3_moe" : "qwen3";
  }
  int64_t experts() const override { return sizes_.experts.count; }
  double balance_coefficient() const override {
    return sizes_.experts.balance_coefficient;
  }
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
