// Builds the chunks of a Qwen3 stage: parameters first, in forward order, then the
// layers.
#include "stage.hpp"

namespace mtrain::models::qwen3 {
Stage::Stage(const Sizes& sizes, const comm::ProcessGroups& groups,
             const ModelOptions& options)
    : sizes_(sizes),
      shard_{groups.tensor->rank(), groups.tensor->size(),
             options.sequence_parallel && groups.tensor->size() > 1},
      expert_shard_{groups.expert->rank(), groups.expert->size(),
                    groups.expert_tensor->rank(), groups.expert_tensor->size()},
      region_(*groups.tensor, options.sequence_parallel),
      expert_region_(*groups.expert_tensor, options.sequence_parallel),
      token_spread_(sizes.experts.count > 0 && shard_.size > 1 &&
                            expert_shard_.tensor_size == 1
                        ? groups.tensor.get()
                        : nullptr),
      tensor_options_(at::TensorOptions().dtype(options.dtype).device(options.device)),
      stage_(groups.pipeline->rank()),
      stages_(groups.pipeline->size()),
      data_ranks_(groups.data->size()),
      chunks_(static_cast<size_t>(options.chunks)),
      activity_(groups.activity) {
  if (const int64_t experts = sizes_.experts.count; experts > 0) {
    dispatcher_ =
        nn::make_dispatcher(options.experts.dispatcher, *groups.expert, experts, turns());
    figures_ = at::zeros({sizes_.layers, nn::RouterFigures::kTokens + experts},
                         tensor_options_.dtype(at::kDouble));
  }
  for (int chunk = 0; chunk < options.chunks; ++chunk) build_chunk(chunk, options);
  buffer_.allocate({options.dtype, options.device, options.bucket_elements,
                    groups.data->size(), groups.expert_data->size()});
}

void Stage::build_chunk(int chunk, const ModelOptions& options) {
  const bool tied_copy = sizes_.tied && stages_ > 1;
  if (is_first(chunk)) build_embedding(tied_copy);
  const auto virtual_stage = static_cast<size_t>(chunk * stages_ + stage_);
  const parallel::LayerRange range = options.layers.at(virtual_stage);
  for (int layer = range.begin; layer < range.end; ++layer) {
    build_layer(layer, chunk, options);
  }
  chunks_[static_cast<size_t>(chunk)].groups =
      recompute_groups(range.size(), options.recompute);
  if (is_last(chunk)) build_head(chunk, tied_copy);
}

void Stage::build_layer(int index, int chunk, const ModelOptions& options) {
  const BlockParams p = add_block(buffer_, sizes_, shard_, expert_shard_, index, chunk);
  const kernels::QkvShape heads{sizes_.heads / shard_.size,
                                std::max<int64_t>(1, sizes_.kv_heads / shard_.size),
                                sizes_.head_dim};
  nn::Block block(nn::Norm(p.attention_norm, sizes_.rms_norm_eps),
                  nn::Attention({p.qkv, p.q_norm, p.k_norm, p.out}, region_, heads,
                                sizes_.rms_norm_eps, options.attention),
                  nn::Norm(p.mlp_norm, sizes_.rms_norm_eps),
                  feed_forward(p, index, options.experts), options.recompute.selective);
  chunks_[static_cast<size_t>(chunk)].layers.push_back(
      {index, std::move(block), p.all()});
}

nn::FeedForward Stage::feed_forward(const BlockParams& p, int index,
                                    const ExpertOptions& options) const {
  if (!p.router) return nn::Mlp(p.gate_up, p.down, region_);
  return nn::Moe({*p.router, p.gate_up, p.down},
                 {{sizes_.experts.choices, sizes_.experts.normalise},
                  options.capacity_factor,
                  options.router_dtype,
                  options.balance_coefficient,
                  options.z_coefficient},
                 {expert_region_, *dispatcher_, token_spread_,
                  token_spread_ && !shard_.sequence_parallel},
                 figures_[index]);
}

void Stage::build_embedding(bool tied_copy) {
  table_ = &add_vocab(buffer_, sizes_, shard_, "model.embed_tokens.weight", tied_copy, 0);
  embedding_.emplace(*table_, region_, vocab_slice(sizes_, shard_).begin);
}

void Stage::build_head(int chunk, bool tied_copy) {
  norm_weight_ = &add_final_norm(buffer_, sizes_, shard_, chunk);
  final_norm_.emplace(*norm_weight_, sizes_.rms_norm_eps);
  const std::string tensor = sizes_.tied ? "model.embed_tokens.weight" : "lm_head.weight";
  const bool share = sizes_.tied && stages_ == 1;
  head_weight_ =
      share ? table_ : &add_vocab(buffer_, sizes_, shard_, tensor, tied_copy, chunk);
  head_.emplace(*head_weight_, region_, vocab_slice(sizes_, shard_));
}

}  // namespace mtrain::models::qwen3
