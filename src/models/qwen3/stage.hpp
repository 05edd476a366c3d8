// The model chunks of one pipeline stage of Qwen3.
#pragma once

#include <optional>

#include "mtrain/nn/vocab.hpp"
#include "params.hpp"
#include "recompute.hpp"

namespace mtrain::models::qwen3 {

class Stage : public Model {
 public:
  Stage(const Sizes& sizes, const comm::ProcessGroups& groups,
        const ModelOptions& options);

  parallel::ParamBuffer& buffer() override { return buffer_; }
  void start_step(const std::vector<PackedTokens>& micro_batches, bool training,
                  parallel::GradientSync* sync,
                  parallel::ParameterGather* gather) override;
  bool has_loss() const override { return head_.has_value(); }
  const at::Tensor& token_loss(int micro_batch) const override;
  at::Tensor loss_share() const override;
  void weigh_by(TokenWeights weights) override { token_weights_ = std::move(weights); }
  at::Tensor router_figures() const override;
  void observe(Observer observer) override { observer_ = std::move(observer); }

  at::Tensor forward(int chunk, int micro_batch, const at::Tensor& input) override;
  at::Tensor backward(int chunk, int micro_batch, const at::Tensor& grad) override;
  at::Tensor empty_activation(int micro_batch) const override;

 private:
  struct Layer {
    int index;  ///< in the whole model
    nn::Block block;
    std::vector<parallel::Parameter*> params;
  };
  /// Layers [begin, end) of a chunk; with `recompute` only the group's input is kept.
  using Group = RecomputeGroup;
  struct Chunk {
    std::vector<Layer> layers;
    std::vector<Group> groups;
  };
  struct GroupPass {
    at::Tensor input;  ///< kept when recomputing
    std::vector<nn::Block::Saved> saved;
  };
  /// What is kept between the forward and the backward of one micro-batch through one
  /// chunk.
  struct Pass {
    std::vector<GroupPass> groups;
    nn::Norm::Saved final_norm;
    at::Tensor head_grad;
  };
  struct Step {
    std::vector<nn::MicroBatch> batches;
    std::vector<at::Tensor> token_loss;
    std::vector<std::vector<Pass>> passes;  ///< [chunk][micro-batch]
    bool training = false;
    parallel::GradientSync* sync = nullptr;
    parallel::ParameterGather* gather = nullptr;
  };

  void build_chunk(int chunk, const ModelOptions& options);
  void build_layer(int index, int chunk, const ModelOptions& options);
  nn::FeedForward feed_forward(const BlockParams& params, int index,
                               const ExpertOptions& options) const;
  void build_embedding(bool tied_copy);
  void build_head(int chunk, bool tied_copy);

  nn::MicroBatch upload(const PackedTokens& tokens) const;
  nn::Stream run_group(Chunk& chunk, const Group& group, nn::Stream stream,
                       const nn::MicroBatch& batch, GroupPass& pass, bool first_run);
  void run_head(const nn::Stream& stream, int micro_batch, Pass& pass);
  void require(const std::vector<parallel::Parameter*>& params);
  void enter(const Layer& layer) const {
    if (activity_) activity_->layer(layer.index);
  }
  void report(const std::vector<parallel::Parameter*>& params, int micro_batch);
  void show(const std::string& name, const nn::Stream& stream);
  void show_routing(int layer, const nn::Block::Saved& saved);
  bool is_first(int chunk) const { return stage_ == 0 && chunk == 0; }
  bool is_last(int chunk) const {
    return stage_ == stages_ - 1 && chunk + 1 == static_cast<int>(chunks_.size());
  }

  Sizes sizes_;
  TensorShard shard_;
  ExpertShard expert_shard_;
  nn::TensorRegion region_, expert_region_;
  /// Ranks over which a micro-batch is spread where tokens are routed; null for none.
  comm::Communicator* token_spread_;
  std::unique_ptr<nn::Dispatcher> dispatcher_;
  at::Tensor figures_;  ///< router_figures(), a row per layer of the model
  at::TensorOptions tensor_options_;
  int stage_, stages_, data_ranks_;
  parallel::ParamBuffer buffer_;
  std::vector<Chunk> chunks_;
  parallel::Parameter* table_ = nullptr;
  parallel::Parameter* norm_weight_ = nullptr;
  parallel::Parameter* head_weight_ =
      nullptr;  ///< the table itself when tied on one stage
  std::optional<nn::Embedding> embedding_;
  std::optional<nn::Norm> final_norm_;
  std::optional<nn::LossHead> head_;
  TokenWeights token_weights_;
  Activity* activity_;  ///< is told of each layer; may be null
  Observer observer_;
  Step step_;
};

}  // namespace mtrain::models::qwen3
