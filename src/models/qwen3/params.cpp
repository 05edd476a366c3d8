// Parameter specs of Qwen3, registered by the stage in forward order.
#include "params.hpp"

#include <algorithm>

#include "mtrain/base/text.hpp"

namespace mtrain::models::qwen3 {
namespace {

using parallel::Box;
using parallel::Init;
using parallel::LocalBox;
using parallel::ParamSpec;
using parallel::TensorRole;

constexpr int64_t kVocabMultiple = 64;

/// Rows [rank * rows/size, ...) of a matrix whose output features are split.
Box row_slice(const std::string& tensor, int64_t rows, int64_t columns,
              const TensorShard& shard) {
  const int64_t mine = rows / shard.size;
  return {tensor, {rows, columns}, {shard.rank * mine, 0}, {mine, columns}};
}

/// Rows of one key or value head per rank where several ranks share each head.
Box shared_head(const std::string& tensor, const Sizes& s, const TensorShard& shard) {
  const int64_t head = shard.rank * s.kv_heads / shard.size;
  return {tensor,
          {s.kv_heads * s.head_dim, s.hidden},
          {head * s.head_dim, 0},
          {s.head_dim, s.hidden}};
}

/// Several row-split matrices one after the other in one local parameter.
ParamSpec fused_rows(const std::string& name, const std::vector<Box>& parts) {
  ParamSpec spec{name,          {0, parts.front().full[1]}, {},
                 Init::kNormal, TensorRole::kSharded,       false};
  for (const Box& part : parts) {
    spec.boxes.push_back({spec.shape[0] * spec.shape[1], part});
    spec.shape[0] += part.extent[0];
  }
  return spec;
}

ParamSpec column_slice(const std::string& name, const std::string& tensor, int64_t rows,
                       int64_t columns, const TensorShard& shard) {
  const int64_t mine = columns / shard.size;
  const Box box{tensor, {rows, columns}, {0, shard.rank * mine}, {rows, mine}};
  return {name, {rows, mine}, {{0, box}}, Init::kNormal, TensorRole::kSharded, false};
}

ParamSpec norm_vector(const std::string& name, const std::string& tensor, int64_t size,
                      TensorRole role) {
  return {name, {size}, {{0, {tensor, {size}, {0}, {size}}}}, Init::kOnes, role, false};
}

/// The rank's query heads and the key and value heads they attend to. With more ranks
/// than key/value heads, ranks / heads neighbours hold the same head.
ParamSpec qkv(const std::string& name, const std::string& layer, const Sizes& s,
              const TensorShard& shard) {
  const bool shares = s.kv_heads < shard.size;
  const auto kv = [&](const char* tensor) {
    return shares ? shared_head(layer + tensor, s, shard)
                  : row_slice(layer + tensor, s.kv_heads * s.head_dim, s.hidden, shard);
  };
  ParamSpec spec =
      fused_rows(name, {row_slice(layer + "self_attn.q_proj.weight", s.heads * s.head_dim,
                                  s.hidden, shard),
                        kv("self_attn.k_proj.weight"), kv("self_attn.v_proj.weight")});
  if (!shares) return spec;
  const auto heads = static_cast<int>(s.kv_heads), neighbours = shard.size / heads;
  spec.shared = {{spec.boxes[1].begin, spec.shape[0] * spec.shape[1],
                  shard.rank / neighbours, heads, shard.rank % neighbours == 0}};
  return spec;
}

/// Each rank routes its own tokens, or has its part of the weights' gradient.
ParamSpec router(const std::string& name, const std::string& layer, const Sizes& s) {
  const parallel::Shape shape = {s.experts.count, s.hidden};
  const Box box{layer + "mlp.gate.weight", shape, {0, 0}, shape};
  return {name, shape, {{0, box}}, Init::kNormal, TensorRole::kPartial, false};
}

/// One matrix of this rank's experts after the other: `parts` lists an expert's boxes.
template <class Parts>
ParamSpec experts(const std::string& name, const std::string& layer, const Sizes& s,
                  const ExpertShard& shard, parallel::Shape matrix, const Parts& parts) {
  const int64_t mine = s.experts.count / shard.size;
  ParamSpec spec{name,          {mine, matrix[0], matrix[1]}, {},
                 Init::kNormal, TensorRole::kSharded,         false};
  spec.expert = true;
  int64_t begin = 0;
  for (int64_t e = shard.rank * mine; e < (shard.rank + 1) * mine; ++e) {
    for (Box& box : parts(cat(layer, "mlp.experts.", e, "."))) {
      const int64_t size = box.size();
      spec.boxes.push_back({begin, std::move(box)});
      begin += size;
    }
  }
  return spec;
}

ParamSpec expert_gate_up(const std::string& name, const std::string& layer,
                         const Sizes& s, const ExpertShard& shard) {
  const TensorShard rows{shard.tensor_rank, shard.tensor_size, false};
  const int64_t ffn = s.experts.ffn;
  return experts(
      name, layer, s, shard, {2 * ffn / rows.size, s.hidden},
      [&](const std::string& expert) {
        const auto part = [&](const char* tensor) {
          return row_slice(expert + tensor, ffn, s.hidden, rows);
        };
        return std::vector<Box>{part("gate_proj.weight"), part("up_proj.weight")};
      });
}

ParamSpec expert_down(const std::string& name, const std::string& layer, const Sizes& s,
                      const ExpertShard& shard) {
  const TensorShard columns{shard.tensor_rank, shard.tensor_size, false};
  const int64_t ffn = s.experts.ffn;
  return experts(name, layer, s, shard, {s.hidden, ffn / columns.size},
                 [&](const std::string& expert) {
                   const ParamSpec one = column_slice("", expert + "down_proj.weight",
                                                      s.hidden, ffn, columns);
                   return std::vector<Box>{one.boxes.front().box};
                 });
}

/// Norms of the residual stream see only their rank's tokens with sequence parallelism.
TensorRole stream_norm_role(const TensorShard& shard) {
  return shard.sequence_parallel ? TensorRole::kPartial : TensorRole::kReplicated;
}

}  // namespace

std::vector<parallel::Parameter*> BlockParams::all() const {
  std::vector<parallel::Parameter*> all = {
      &attention_norm, &qkv, &q_norm, &k_norm, &out, &mlp_norm, &gate_up, &down};
  if (router) all.push_back(router);
  return all;
}

BlockParams add_block(parallel::ParamBuffer& buffer, const Sizes& s,
                      const TensorShard& shard, const ExpertShard& experts, int layer,
                      int chunk) {
  const std::string hf = cat("model.layers.", layer, "."),
                    mine = cat("layers.", layer, ".");
  const auto add = [&](ParamSpec spec) -> parallel::Parameter& {
    return buffer.add(std::move(spec), chunk);
  };
  const auto rows = [&](const char* name, int64_t count) {
    return row_slice(cat(hf, name, ".weight"), count, s.hidden, shard);
  };
  const auto norm = [&](const char* name, const char* tensor, int64_t size,
                        TensorRole role) {
    return norm_vector(mine + name, cat(hf, tensor, ".weight"), size, role);
  };
  const bool sparse = s.has_experts(layer);
  // Each rank normalises its own heads only, so the head norms' gradients are always
  // partial.
  return {
      add(norm("attention_norm", "input_layernorm", s.hidden, stream_norm_role(shard))),
      add(qkv(mine + "qkv", hf, s, shard)),
      add(norm("q_norm", "self_attn.q_norm", s.head_dim, TensorRole::kPartial)),
      add(norm("k_norm", "self_attn.k_norm", s.head_dim, TensorRole::kPartial)),
      add(column_slice(mine + "out", hf + "self_attn.o_proj.weight", s.hidden,
                       s.heads * s.head_dim, shard)),
      add(norm("mlp_norm", "post_attention_layernorm", s.hidden,
               stream_norm_role(shard))),
      sparse ? &add(router(mine + "router", hf, s)) : nullptr,
      add(sparse ? expert_gate_up(mine + "gate_up", hf, s, experts)
                 : fused_rows(mine + "gate_up", {rows("mlp.gate_proj", s.ffn),
                                                 rows("mlp.up_proj", s.ffn)})),
      add(sparse ? expert_down(mine + "down", hf, s, experts)
                 : column_slice(mine + "down", hf + "mlp.down_proj.weight", s.hidden,
                                s.ffn, shard))};
}

parallel::Parameter& add_final_norm(parallel::ParamBuffer& buffer, const Sizes& s,
                                    const TensorShard& shard, int chunk) {
  return buffer.add(
      norm_vector("norm", "model.norm.weight", s.hidden, stream_norm_role(shard)), chunk);
}

int64_t vocab_rows(const Sizes& s, const TensorShard& shard) {
  if (shard.size == 1) return s.vocab;
  const int64_t each = (s.vocab + shard.size - 1) / shard.size;
  return (each + kVocabMultiple - 1) / kVocabMultiple * kVocabMultiple;
}

kernels::VocabSlice vocab_slice(const Sizes& s, const TensorShard& shard) {
  const int64_t rows = vocab_rows(s, shard), begin = shard.rank * rows;
  return {begin, std::clamp<int64_t>(s.vocab - begin, 0, rows)};
}

parallel::Parameter& add_vocab(parallel::ParamBuffer& buffer, const Sizes& s,
                               const TensorShard& shard, const std::string& tensor,
                               bool tied, int chunk) {
  const auto slice = vocab_slice(s, shard);
  ParamSpec spec{
      tensor, {vocab_rows(s, shard), s.hidden}, {}, Init::kNormal, TensorRole::kSharded,
      tied};
  if (slice.valid > 0) {
    spec.boxes.push_back(
        {0, {tensor, {s.vocab, s.hidden}, {slice.begin, 0}, {slice.valid, s.hidden}}});
  }
  return buffer.add(std::move(spec), chunk);
}

}  // namespace mtrain::models::qwen3
