// Sizes, tensor names and flops of Qwen3, dense or with experts, from its config.json.
#include "config.hpp"

#include <algorithm>

#include "../config_reader.hpp"
#include "stage.hpp"

namespace mtrain::models::qwen3 {
namespace {

/// Defaults as transformers' Qwen3MoeConfig, where that has any.
ExpertSizes read_experts(ConfigReader& in) {
  ExpertSizes e;
  e.count = in.size("num_experts");
  if (in.has("num_local_experts"))
    in.fault("num_experts and num_local_experts are different numbers");
  e.choices = in.size("num_experts_per_tok");
  e.ffn = in.size("moe_intermediate_size");
  e.normalise = in.flag_or("norm_topk_prob", false);
  e.every = in.size_or("decoder_sparse_step", 1);
  e.dense = in.list("mlp_only_layers");
  e.balance_coefficient = in.coefficient_or("router_aux_loss_coef", 0.001);
  if (e.choices > e.count) {
    in.fault(cat("num_experts_per_tok = ", e.choices,
                 " is more than num_experts = ", e.count));
  }
  return e;
}

Sizes read_sizes(ConfigReader& in) {
  Sizes s{};
  s.vocab = in.size("vocab_size");
  s.hidden = in.size("hidden_size");
  s.ffn = in.size("intermediate_size");
  s.layers = in.size("num_hidden_layers");
  s.heads = in.size("num_attention_heads");
  s.kv_heads = in.size_or("num_key_value_heads", s.heads);
  // The default of transformers' Qwen3Config, whatever hidden_size / num_attention_heads
  // is.
  s.head_dim = in.size_or("head_dim", 128);
  s.max_positions = in.size_or("max_position_embeddings", 32768);
  s.rms_norm_eps = in.number_or("rms_norm_eps", 1e-6);
  s.rope_theta = in.rope_theta();
  s.initializer_range = in.number_or("initializer_range", 0.02);
  s.tied = in.flag_or("tie_word_embeddings", false);
  s.dtype = in.dtype();
  return s;
}

/// Sizes beyond any model's, refused before arithmetic on them overflows or never ends.
void refuse_absurd_sizes(const Sizes& s, ConfigReader& in) {
  constexpr int64_t kMostLayers = 10'000, kMostExperts = 10'000;
  constexpr double kMostParameters = 1e14;
  if (s.layers > kMostLayers) {
    in.fault(cat("num_hidden_layers = ", s.layers, " is more than ", kMostLayers));
  }
  if (s.experts.count > kMostExperts) {
    in.fault(cat("num_experts = ", s.experts.count, " is more than ", kMostExperts));
  }
  const auto product = [](int64_t a, int64_t b) {
    return static_cast<double>(a) * static_cast<double>(b);
  };
  const double heads = product(s.heads + s.kv_heads, s.head_dim);
  const double ffn = static_cast<double>(s.ffn) + product(s.experts.count, s.experts.ffn);
  const double layer = (2 * heads + 3 * ffn) * static_cast<double>(s.hidden);
  const double total =
      2 * product(s.vocab, s.hidden) + static_cast<double>(s.layers) * layer;
  if (total > kMostParameters) {
    in.fault(cat("the sizes make a model of ", total, " parameters; at most ",
                 kMostParameters, " are possible"));
  }
}

}  // namespace

bool Sizes::has_experts(int64_t layer) const {
  if (experts.count == 0 || (layer + 1) % experts.every != 0) return false;
  return std::ranges::find(experts.dense, layer) == experts.dense.end();
}

int64_t Sizes::layers_with_experts() const {
  int64_t count = 0;
  for (int64_t i = 0; i < layers; ++i) count += has_experts(i) ? 1 : 0;
  return count;
}

Config::Config(const nlohmann::json& json, const std::string& where) {
  ConfigReader in(json, where);
  sizes_ = read_sizes(in);
  if (json.at("model_type") == "qwen3_moe") sizes_.experts = read_experts(in);
  in.require_only("hidden_act", "silu");
  in.require_only("attention_bias", false);
  in.require_only("use_sliding_window", false);
  in.require_only("attention_dropout", 0.0);
  if (sizes_.heads % sizes_.kv_heads != 0) {
    in.fault(cat("num_key_value_heads = ", sizes_.kv_heads,
                 " does not divide num_attention_heads = ", sizes_.heads));
  }
  if (sizes_.head_dim % 2 != 0) {
    in.fault(cat("head_dim = ", sizes_.head_dim, " must be even"));
  }
  refuse_absurd_sizes(sizes_, in);
  in.finish();
}

int64_t Config::parameters() const {
  int64_t total = 0;
  for (const auto& tensor : tensors()) total += parallel::numel(tensor.shape);
  return total;
}

double Config::flops_per_token(double length) const {
  const auto& s = sizes_;
  const double table = static_cast<double>(s.vocab * s.hidden);
  const int64_t idle = s.layers_with_experts() * 3 * s.hidden * s.experts.ffn *
                       (s.experts.count - s.experts.choices);
  const double active =
      static_cast<double>(parameters() - idle) - (s.tied ? 1 : 2) * table;
  const double attention =
      6.0 * static_cast<double>(s.layers * s.heads * s.head_dim) * length;
  return 6.0 * (active + table) + attention;
}

std::vector<LogicalTensor> Config::tensors() const {
  const auto& s = sizes_;
  std::vector<LogicalTensor> list = {{"model.embed_tokens.weight", {s.vocab, s.hidden}}};
  for (int64_t i = 0; i < s.layers; ++i) {
    const std::string layer = cat("model.layers.", i, ".");
    const auto add = [&](const std::string& name, parallel::Shape shape) {
      list.push_back({cat(layer, name, ".weight"), std::move(shape)});
    };
    add("self_attn.q_proj", {s.heads * s.head_dim, s.hidden});
    add("self_attn.k_proj", {s.kv_heads * s.head_dim, s.hidden});
    add("self_attn.v_proj", {s.kv_heads * s.head_dim, s.hidden});
    add("self_attn.o_proj", {s.hidden, s.heads * s.head_dim});
    add("self_attn.q_norm", {s.head_dim});
    add("self_attn.k_norm", {s.head_dim});
    const auto add_mlp = [&](const std::string& prefix, int64_t ffn) {
      add(prefix + ".gate_proj", {ffn, s.hidden});
      add(prefix + ".up_proj", {ffn, s.hidden});
      add(prefix + ".down_proj", {s.hidden, ffn});
    };
    if (s.has_experts(i)) {
      add("mlp.gate", {s.experts.count, s.hidden});
      for (int64_t e = 0; e < s.experts.count; ++e)
        add_mlp(cat("mlp.experts.", e), s.experts.ffn);
    } else {
      add_mlp("mlp", s.ffn);
    }
    add("input_layernorm", {s.hidden});
    add("post_attention_layernorm", {s.hidden});
  }
  list.push_back({"model.norm.weight", {s.hidden}});
  if (!s.tied) list.push_back({"lm_head.weight", {s.vocab, s.hidden}});
  return list;
}

std::vector<std::string> Config::layout_faults(const comm::GridSizes& grid) const {
  std::vector<std::string> faults;
  const auto require_divides = [&](const char* key, int size, const char* what,
                                   int64_t value) {
    if (value % size == 0) return;
    faults.push_back(cat(key, " = ", size, " does not divide ", what, " = ", value));
  };
  const auto require = [&](const char* what, int64_t value) {
    require_divides("tensor_model_parallel_size", grid.tensor, what, value);
  };
  require("num_attention_heads", sizes_.heads);
  // With more ranks than key/value heads each head is held by several neighbours.
  if (grid.tensor % sizes_.kv_heads != 0) {
    require("num_key_value_heads", sizes_.kv_heads);
  }
  if (sizes_.layers_with_experts() < sizes_.layers)
    require("intermediate_size", sizes_.ffn);
  const ExpertSizes& experts = sizes_.experts;
  if (experts.count == 0) {
    if (grid.expert * grid.expert_tensor > 1)
      faults.push_back("expert parallelism is for models with experts");
    return faults;
  }
  require_divides("expert_model_parallel_size", grid.expert, "num_experts",
                  experts.count);
  require_divides("expert_tensor_parallel_size", grid.expert_tensor,
                  "moe_intermediate_size", experts.ffn);
  if (grid.expert_tensor != 1 && grid.expert_tensor != grid.tensor) {
    faults.push_back(cat("expert_tensor_parallel_size = ", grid.expert_tensor,
                         " is neither 1 nor tensor_model_parallel_size = ", grid.tensor));
  }
  return faults;
}

std::unique_ptr<Model> Config::make(const comm::ProcessGroups& groups,
                                    const ModelOptions& options) const {
  return std::make_unique<Stage>(sizes_, groups, options);
}

}  // namespace mtrain::models::qwen3
