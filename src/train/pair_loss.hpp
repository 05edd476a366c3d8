// The preference losses, with their derivatives and rewards.
#pragma once

#include <ATen/core/Tensor.h>

#include "mtrain/config/deck.hpp"

namespace mtrain::train {

// P: pairs; 2: the chosen answer, then the rejected one. All fp64, on one device.

/// Sums over each answer's tokens.
struct PairLogProbs {
  at::Tensor policy_P2;
  at::Tensor reference_P2;  ///< undefined where the loss needs none
  at::Tensor tokens_P2;     ///< in each answer
};

struct PairLoss {
  at::Tensor loss_P;
  at::Tensor slope_P2;    ///< d loss_P / d policy_P2
  at::Tensor rewards_P2;  ///< beta * (policy - reference), averaged where the loss is
};

/// Whether the loss compares the policy with a reference model.
bool needs_reference(config::PrefLoss loss);

/// sigmoid: Rafailov et al., "Direct preference optimization" (2023), with label
/// smoothing as Mitchell, "cDPO" (2023); hinge: Zhao et al., "SLiC-HF" (2023); ipo: Azar
/// et al. (2023), on averages over the tokens; orpo: Hong et al. (2024); simpo: Meng et
/// al. (2024). pref_ftx adds that many times the chosen answer's mean negative
/// log-likelihood, of which orpo has one in itself; each pair's own mean, as
/// LLaMA-Factory.
PairLoss pair_loss(const config::Dpo& options, const PairLogProbs& log_probs);

}  // namespace mtrain::train
