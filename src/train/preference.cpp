// Owns the step of preference training: from token losses to log-probabilities of
// answers, to the loss of pairs, and back to weights of tokens. Driven by the trainer.
#include "preference.hpp"

#include <ATen/ATen.h>

#include "mtrain/nn/upload.hpp"
#include "pair_loss.hpp"
#include "passes.hpp"

namespace mtrain::train {

// T: tokens of a micro-batch; S = 2P: answers; P: pairs.

int64_t pairs_of(const models::PackedTokens& micro_batch) {
  return static_cast<int64_t>(micro_batch.offsets.size() - 1) / 2;
}

namespace {

std::vector<int64_t> answer_lengths(const models::PackedTokens& tokens) {
  std::vector<int64_t> lengths;
  for (size_t d = 0; d < 2 * static_cast<size_t>(pairs_of(tokens)); ++d)
    lengths.push_back(tokens.offsets[d + 1] - tokens.offsets[d]);
  return lengths;
}

/// fp64 [P, 2]: log-probabilities of answers of these lengths.
at::Tensor log_probs(const at::Tensor& lengths_S, int64_t positions,
                     const at::Tensor& loss_T) {
  const at::Tensor loss = loss_T.narrow(0, 0, positions).to(at::kDouble);
  // Told that the lengths are right, it does not look at them, which would wait.
  const at::Tensor sums =
      at::segment_reduce(loss, "sum", lengths_S, {}, {}, 0, /*unsafe=*/true);
  return -sums.view({-1, 2});
}

}  // namespace

at::Tensor answer_log_probs(const models::PackedTokens& tokens,
                            const at::Tensor& token_loss_T) {
  return log_probs(nn::upload(answer_lengths(tokens), token_loss_T.device()),
                   tokens.offsets.back(), token_loss_T);
}

Preference::Preference(const config::Deck& deck, const comm::ProcessGroups& groups,
                       models::Model& model, at::Tensor reference)
    : deck_(deck), groups_(groups), model_(model), reference_(std::move(reference)) {}

int64_t Preference::reference_bytes() const {
  return has_reference() ? static_cast<int64_t>(reference_.nbytes()) : 0;
}

Preference::Pairs Preference::upload(const models::PackedTokens& tokens) const {
  const auto answers = static_cast<size_t>(2 * pairs_of(tokens));
  std::vector<int64_t> answer_of(tokens.ids.size(), 2 * pairs_of(tokens));
  std::vector<double> trained(answers);
  for (size_t s = 0; s < answers; ++s) {
    for (auto t = tokens.offsets[s]; t < tokens.offsets[s + 1]; ++t) {
      const auto at = static_cast<size_t>(t);
      if (tokens.targets[at] < 0) continue;
      answer_of[at] = static_cast<int64_t>(s);
      ++trained[s];
    }
  }
  const at::Device device = model_.buffer().weights().device();
  return {static_cast<int64_t>(tokens.ids.size()),
          nn::upload(answer_lengths(tokens), device),
          nn::upload(trained, device).view({-1, 2}),
          nn::upload(answer_of, device),
          {}};
}

void Preference::begin(const StepBatch& batch, double pair_weight) {
  pair_weight_ = pair_weight;
  share_ = at::zeros({kFigures}, model_.buffer().weights().options().dtype(at::kDouble));
  pairs_.clear();
  if (model_.has_loss()) {
    for (const auto& tokens : batch.micro_batches) pairs_.push_back(upload(tokens));
  }
  const at::Device device = share_.device();
  for (size_t m = 0; m < pairs_.size() && !batch.reference.empty(); ++m)
    pairs_[m].reference_P2 = nn::upload(batch.reference[m], device).view({-1, 2});
  if (has_reference()) run_reference(batch);
  model_.weigh_by([this](int micro_batch, const at::Tensor& token_loss_T) {
    return weights(pairs_.at(static_cast<size_t>(micro_batch)), token_loss_T);
  });
}

void Preference::run_reference(const StepBatch& batch) {
  const parallel::BoundWeights bound(model_.buffer(), reference_);
  model_.weigh_by({});
  run_forward(deck_, groups_, model_, batch, nullptr);
  for (size_t m = 0; m < pairs_.size(); ++m)
    pairs_[m].reference_P2 = log_probs(pairs_[m].lengths_S, pairs_[m].positions,
                                       model_.token_loss(static_cast<int>(m)));
}

at::Tensor Preference::weights(const Pairs& pairs, const at::Tensor& token_loss_T) {
  at::Tensor weights_T = at::zeros_like(token_loss_T);
  if (pairs.tokens_P2.numel() == 0) return weights_T;
  const PairLoss loss =
      pair_loss(deck_.dpo, {log_probs(pairs.lengths_S, pairs.positions, token_loss_T),
                            pairs.reference_P2, pairs.tokens_P2});
  // The token loss is minus the log-probability. Ignored positions take the last entry.
  const at::Tensor slope = (-pair_weight_ * loss.slope_P2).to(at::kFloat).flatten();
  weights_T.narrow(0, 0, pairs.positions)
      .copy_(at::cat({slope, at::zeros({1}, slope.options())})
                 .index_select(0, pairs.answer_T));
  if (groups_.tensor->rank() != 0) return weights_T;
  const at::Tensor rewards = loss.rewards_P2;
  const at::Tensor correct = rewards.select(1, 0).gt(rewards.select(1, 1));
  share_ += pair_weight_ * at::stack({loss.loss_P, rewards.select(1, 0),
                                      rewards.select(1, 1), correct.to(at::kDouble)})
                               .sum(1);
  return weights_T;
}

}  // namespace mtrain::train
