// Preference training: what a step over pairs needs beside a model and its passes.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "batches.hpp"
#include "mtrain/comm/session.hpp"
#include "mtrain/config/deck.hpp"
#include "mtrain/models/model.hpp"

namespace mtrain::train {

/// Pairs of a micro-batch: documents 2i and 2i + 1 are the chosen and the rejected
/// answer, with their prompt, of pair i.
int64_t pairs_of(const models::PackedTokens& micro_batch);

/// Log-probabilities of a micro-batch's answers, fp64 [P, 2], from its token losses.
at::Tensor answer_log_probs(const models::PackedTokens& micro_batch,
                            const at::Tensor& token_loss_T);

/// Turns token losses of a model into a preference loss. Life of a step: begin, the
/// model's passes, share. Nothing waits for the device.
class Preference {
 public:
  /// What share() holds: sums over pairs, times the pair weight.
  enum Figure { kLoss, kRewardChosen, kRewardRejected, kAccuracy, kFigures };

  /// `reference`: flat weights of the reference model, laid out as the model's; undefined
  /// where the loss needs none or the batches bring its log-probabilities.
  Preference(const config::Deck& deck, const comm::ProcessGroups& groups,
             models::Model& model, at::Tensor reference);

  /// Runs the reference, where there is one, over the batch and makes the model ask for
  /// the weights of its token losses. The loss is the sum over pairs of `pair_weight`
  /// times a pair's. Collective over the model's ranks.
  void begin(const StepBatch& batch, double pair_weight);
  /// This rank's share of the figures, fp64 [kFigures] on the device, once the forward
  /// passes have run; zero where another rank counts them.
  at::Tensor share() const { return share_; }

  bool has_reference() const { return reference_.defined(); }
  /// Bytes of the reference's weights on this rank.
  int64_t reference_bytes() const;

 private:
  struct Pairs {
    int64_t positions;        ///< of the micro-batch, without padding
    at::Tensor lengths_S;     ///< int64 positions of each answer with its prompt
    at::Tensor tokens_P2;     ///< fp64 trained positions of each
    at::Tensor answer_T;      ///< int64 which it belongs to; S where nothing is trained
    at::Tensor reference_P2;  ///< fp64 log-probabilities
  };

  Pairs upload(const models::PackedTokens& micro_batch) const;
  void run_reference(const StepBatch& batch);
  at::Tensor weights(const Pairs& pairs, const at::Tensor& token_loss_T);

  const config::Deck& deck_;
  const comm::ProcessGroups& groups_;
  models::Model& model_;
  at::Tensor reference_;
  std::vector<Pairs> pairs_;  ///< per micro-batch of the step; last virtual stage only
  double pair_weight_ = 0;
  at::Tensor share_;
};

}  // namespace mtrain::train
