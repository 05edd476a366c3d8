// Routing of tokens to experts: probabilities, choice, and the gradient of both.
// Legend: T tokens, E experts of the model, K experts a token is sent to.
#pragma once

#include <ATen/core/Tensor.h>

namespace mtrain::kernels {

struct RouterOptions {
  int64_t choices;  ///< K
  bool normalise;   ///< weights of a token sum to 1 (norm_topk_prob)
};

struct Routing {
  at::Tensor probabilities_TE;  ///< fp32 softmax over all experts
  at::Tensor lse_T;             ///< fp32 log of the sum of exp(logit)
  at::Tensor experts_TK;        ///< int32, most probable first, ties to the lower index
  at::Tensor weights_TK;        ///< fp32 what the experts' outputs are multiplied by
  at::Tensor counts_E;          ///< int32 tokens that chose the expert
  /// experts_TK with -1 where the expert is full; undefined where experts never are.
  at::Tensor kept_TK;
};

/// Softmax over all experts, then the K largest (HF's Qwen3MoeTopKRouter). logits fp32.
Routing router_forward(const at::Tensor& logits_TE, const RouterOptions& options);

/// Fills kept_TK: an expert keeps the ceil(T * K / E * factor) pairs of largest weight,
/// of equal ones the earlier tokens' (Megatron-LM's drop policy "probs"). Weights stay as
/// they are.
void limit_experts(Routing& routing, double factor);

/// Losses on the router itself, as gradients that are alike for all tokens.
struct RouterLossGrad {
  at::Tensor probability_E;  ///< fp32, of the loss by any token's probability of e
  double lse;                ///< factor of lse_T: of the loss by any token's lse
};

/// Gradient of the logits from that of the weights, plus that of the router's losses.
at::Tensor router_backward(const at::Tensor& dweights_TK, const Routing& routing,
                           const RouterOptions& options, const RouterLossGrad& losses);

/// Sums over the tokens, fp64 [E + 2]: each expert's probability, then lse^2, then the
/// entropy of the probabilities in nats.
at::Tensor router_totals(const Routing& routing);

}  // namespace mtrain::kernels
