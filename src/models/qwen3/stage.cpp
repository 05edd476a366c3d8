// Runs micro-batches through the chunks of a Qwen3 stage; driven by the pipeline
// executor.
#include "stage.hpp"

#include <ATen/ATen.h>

#include <algorithm>

#include "mtrain/base/error.hpp"
#include "mtrain/nn/upload.hpp"

namespace mtrain::models::qwen3 {
namespace {

/// Position of each token within its document.
std::vector<int64_t> positions_of(const std::vector<int64_t>& offsets) {
  std::vector<int64_t> positions;
  for (size_t d = 0; d + 1 < offsets.size(); ++d) {
    for (int64_t i = 0; i < offsets[d + 1] - offsets[d]; ++i) positions.push_back(i);
  }
  return positions;
}

/// Pads to a multiple of `multiple` tokens with a document that trains nothing.
PackedTokens padded(PackedTokens tokens, int64_t multiple) {
  const auto size = static_cast<int64_t>(tokens.ids.size());
  const int64_t target = (size + multiple - 1) / multiple * multiple;
  if (target == size) return tokens;
  tokens.ids.resize(static_cast<size_t>(target), 0);
  tokens.targets.resize(static_cast<size_t>(target), -100);
  tokens.weights.resize(static_cast<size_t>(target), 0.0f);
  tokens.offsets.push_back(target);
  return tokens;
}

}  // namespace

nn::MicroBatch Stage::upload(const PackedTokens& tokens) const {
  const bool splits = shard_.sequence_parallel || token_spread_;
  const PackedTokens all = padded(tokens, splits ? shard_.size : 1);
  nn::MicroBatch batch;
  const bool trains =
      std::ranges::any_of(tokens.targets, [](int64_t t) { return t >= 0; });
  batch.routed_tokens = trains ? static_cast<int64_t>(tokens.ids.size()) : 0;
  const at::Device device = tensor_options_.device();
  batch.ids_T = nn::upload(all.ids, device);
  batch.targets_T = nn::upload(all.targets, device);
  batch.weights_T = nn::upload(all.weights, device);
  batch.documents.offsets = all.offsets;
  if (!device.is_cpu()) {
    const std::vector<int32_t> offsets(all.offsets.begin(), all.offsets.end());
    batch.documents.offsets_on_device = nn::upload(offsets, device);
  }
  const at::Tensor positions = nn::upload(positions_of(all.offsets), device);
  batch.rope = kernels::rope_table(positions, sizes_.head_dim, sizes_.rope_theta);
  return batch;
}

void Stage::start_step(const std::vector<PackedTokens>& micro_batches, bool training,
                       parallel::GradientSync* sync, parallel::ParameterGather* gather) {
  step_ = {};
  step_.training = training;
  step_.sync = sync;
  step_.gather = gather;
  for (const auto& tokens : micro_batches) {
    step_.batches.push_back(upload(tokens));
    step_.batches.back().share =
        1.0 /
        static_cast<double>(micro_batches.size() * static_cast<size_t>(data_ranks_));
  }
  if (figures_.defined()) figures_.zero_();
  step_.token_loss.resize(micro_batches.size());
  step_.passes.assign(chunks_.size(), std::vector<Pass>(micro_batches.size()));
}

const at::Tensor& Stage::token_loss(int micro_batch) const {
  const at::Tensor& loss = step_.token_loss.at(static_cast<size_t>(micro_batch));
  MT_CHECK(loss.defined(), "no loss of micro-batch ", micro_batch, " on this stage");
  return loss;
}

at::Tensor Stage::loss_share() const {
  at::Tensor sum = at::zeros({1}, tensor_options_.dtype(at::kDouble));
  if (!has_loss() || shard_.rank != 0) return sum;
  for (size_t m = 0; m < step_.batches.size(); ++m) {
    const at::Tensor& weights = step_.batches[m].weights_T;
    sum += (token_loss(static_cast<int>(m)).to(at::kDouble) * weights).sum();
  }
  return sum;
}

at::Tensor Stage::router_figures() const {
  return figures_.defined() ? figures_.clone() : at::Tensor();
}

at::Tensor Stage::empty_activation(int micro_batch) const {
  const int64_t tokens = step_.batches.at(static_cast<size_t>(micro_batch)).tokens();
  return at::empty({region_.outside_tokens(tokens), sizes_.hidden}, tensor_options_);
}

void Stage::require(const std::vector<parallel::Parameter*>& params) {
  if (!step_.gather) return;
  for (const auto* p : params) step_.gather->require(*p);
}

void Stage::report(const std::vector<parallel::Parameter*>& params, int micro_batch) {
  if (!step_.sync || micro_batch + 1 != static_cast<int>(step_.batches.size())) return;
  for (auto* p : params) step_.sync->ready(*p);
}

void Stage::show(const std::string& name, const nn::Stream& stream) {
  if (observer_) observer_(name, stream.sum());
}

void Stage::show_routing(int layer, const nn::Block::Saved& saved) {
  const auto& routing = saved.feed_forward.moe.routing;
  if (!observer_ || !routing.experts_TK.defined()) return;
  observer_(cat("router.", layer, ".experts"), routing.experts_TK);
  observer_(cat("router.", layer, ".weights"), routing.weights_TK);
}

nn::Stream Stage::run_group(Chunk& chunk, const Group& group, nn::Stream stream,
                            const nn::MicroBatch& batch, GroupPass& pass,
                            bool first_run) {
  if (group.recompute && first_run) {
    stream = {stream.sum(), {}};
    pass.input = stream.residual;
  }
  pass.saved.assign(static_cast<size_t>(group.end - group.begin), {});
  for (int i = group.begin; i < group.end; ++i) {
    Layer& layer = chunk.layers[static_cast<size_t>(i)];
    enter(layer);
    if (first_run) require(layer.params);
    auto& saved = pass.saved[static_cast<size_t>(i - group.begin)];
    stream = layer.block.forward(stream, batch, saved);
    if (first_run) show(cat("layer.", layer.index), stream);
    if (first_run) show_routing(layer.index, saved);
    if (!step_.training || (group.recompute && first_run)) saved = {};
  }
  return stream;
}

at::Tensor Stage::forward(int chunk_index, int micro_batch, const at::Tensor& input) {
  const auto m = static_cast<size_t>(micro_batch);
  const nn::MicroBatch& batch = step_.batches[m];
  Chunk& chunk = chunks_[static_cast<size_t>(chunk_index)];
  Pass& pass = step_.passes[static_cast<size_t>(chunk_index)][m];
  nn::Stream stream{input, {}};
  if (is_first(chunk_index)) {
    require({table_});
    stream.residual = embedding_->forward(batch);
    show("embed", stream);
  }
  pass.groups.resize(chunk.groups.size());
  for (size_t i = 0; i < chunk.groups.size(); ++i) {
    stream = run_group(chunk, chunk.groups[i], stream, batch, pass.groups[i], true);
  }
  if (!step_.training) pass.groups.clear();
  if (!is_last(chunk_index)) return stream.sum();
  run_head(stream, micro_batch, pass);
  return {};
}

void Stage::run_head(const nn::Stream& stream, int micro_batch, Pass& pass) {
  const auto m = static_cast<size_t>(micro_batch);
  require({norm_weight_, head_weight_});
  const at::Tensor x = final_norm_->forward(stream, pass.final_norm);
  show("norm", {x, {}});
  nn::LossHead::WeightsOf weights_of;
  if (token_weights_)
    weights_of = [&](const at::Tensor& loss) {
      return token_weights_(micro_batch, loss);
    };
  auto result = head_->forward(x, step_.batches[m], step_.training, weights_of);
  step_.token_loss[m] = result.token_loss_T;
  pass.head_grad = result.dx_TH;
  pass.final_norm.y.reset();
}

at::Tensor Stage::backward(int chunk_index, int micro_batch, const at::Tensor& grad) {
  const auto m = static_cast<size_t>(micro_batch);
  const nn::MicroBatch& batch = step_.batches[m];
  Chunk& chunk = chunks_[static_cast<size_t>(chunk_index)];
  Pass& pass = step_.passes[static_cast<size_t>(chunk_index)][m];
  at::Tensor d_stream = grad;
  if (is_last(chunk_index)) {
    d_stream = final_norm_->backward(pass.head_grad, {}, pass.final_norm);
    if (head_weight_ != table_) report({head_weight_}, micro_batch);
    report({norm_weight_}, micro_batch);
    pass.head_grad.reset();
    pass.final_norm = {};
  }
  for (size_t g = chunk.groups.size(); g-- > 0;) {
    const Group& group = chunk.groups[g];
    GroupPass& kept = pass.groups[g];
    if (group.recompute) run_group(chunk, group, {kept.input, {}}, batch, kept, false);
    for (int i = group.end; i-- > group.begin;) {
      Layer& layer = chunk.layers[static_cast<size_t>(i)];
      enter(layer);
      auto& saved = kept.saved[static_cast<size_t>(i - group.begin)];
      d_stream = layer.block.backward(d_stream, batch, saved);
      report(layer.params, micro_batch);
    }
    kept = {};
  }
  if (!is_first(chunk_index)) return d_stream;
  embedding_->backward(d_stream, batch);
  report({table_}, micro_batch);
  return {};
}

}  // namespace mtrain::models::qwen3
