// Owns the formulas of preference training; the preference stage of the trainer uses
// them.
#include "pair_loss.hpp"

#include <ATen/ATen.h>

#include "mtrain/base/error.hpp"

namespace mtrain::train {
namespace {

using at::Tensor;
using config::PrefLoss;

/// A loss of x_P2 and its derivative.
struct Term {
  Tensor loss_P, slope_P2;
};

/// A loss of the margin chosen - rejected.
Term of_margin(const Tensor& loss_P, const Tensor& slope_P) {
  return {loss_P, at::stack({slope_P, -slope_P}, 1)};
}

Tensor chosen(const Tensor& x_P2) {
  return x_P2.select(1, 0);
}

Tensor margin(const Tensor& x_P2) {
  return x_P2.select(1, 0) - x_P2.select(1, 1);
}

Term sigmoid(const Tensor& x_P2, double beta, double smoothing) {
  const Tensor z = beta * margin(x_P2);
  return of_margin(
      -(1 - smoothing) * at::log_sigmoid(z) - smoothing * at::log_sigmoid(-z),
      -beta * ((1 - smoothing) * at::sigmoid(-z) - smoothing * at::sigmoid(z)));
}

Term hinge(const Tensor& x_P2, double beta) {
  const Tensor below = 1 - beta * margin(x_P2);
  return of_margin(at::relu(below), -beta * below.gt(0).to(at::kDouble));
}

Term ipo(const Tensor& x_P2, double beta) {
  const Tensor distance = margin(x_P2) - 1 / (2 * beta);
  return of_margin(distance.square(), 2 * distance);
}

Term simpo(const Tensor& x_P2, double beta, double gamma) {
  const Tensor z = beta * margin(x_P2) - gamma;
  return of_margin(-at::log_sigmoid(z), -beta * at::sigmoid(-z));
}

/// The odds of an answer are p / (1 - p), p its mean probability per token. A
/// log-probability of 0 is that of an answer without tokens.
Term orpo(const Tensor& x_P2, double beta) {
  const Tensor x = x_P2.clamp_max(-1e-12);
  const Tensor odds = margin(x - at::log1p(-x.exp()));
  const Tensor slope = of_margin(odds, -beta * at::sigmoid(-odds)).slope_P2;
  return {-beta * at::log_sigmoid(odds), slope * (-1 / at::expm1(x))};
}

Term term(const config::Dpo& options, const Tensor& x_P2) {
  const double beta = options.pref_beta;
  switch (options.pref_loss) {
    case PrefLoss::kSigmoid:
      return sigmoid(x_P2, beta, options.dpo_label_smoothing);
    case PrefLoss::kHinge:
      return hinge(x_P2, beta);
    case PrefLoss::kIpo:
      return ipo(x_P2, beta);
    case PrefLoss::kOrpo:
      return orpo(x_P2, beta);
    case PrefLoss::kSimpo:
      return simpo(x_P2, beta, options.simpo_gamma);
  }
  throw Error("no such preference loss");
}

}  // namespace

bool needs_reference(PrefLoss loss) {
  return loss != PrefLoss::kOrpo && loss != PrefLoss::kSimpo;
}

PairLoss pair_loss(const config::Dpo& options, const PairLogProbs& log_probs) {
  const bool averages =
      options.pref_loss != PrefLoss::kSigmoid && options.pref_loss != PrefLoss::kHinge;
  const Tensor tokens = log_probs.tokens_P2.clamp_min(1);
  const Tensor per_token = 1 / tokens;
  const Tensor scale = averages ? per_token : at::ones_like(tokens);
  Tensor x = log_probs.policy_P2;
  if (needs_reference(options.pref_loss)) x = x - log_probs.reference_P2;
  x = x * scale;
  const Term of_pair = term(options, x);
  PairLoss result{of_pair.loss_P, of_pair.slope_P2 * scale, options.pref_beta * x};
  const double share =
      options.pref_ftx + (options.pref_loss == PrefLoss::kOrpo ? 1.0 : 0.0);
  if (share == 0) return result;
  const Tensor mean = chosen(log_probs.policy_P2) * chosen(per_token);
  result.loss_P = result.loss_P - share * mean;
  result.slope_P2.select(1, 0).sub_(share * chosen(per_token));
  return result;
}

}  // namespace mtrain::train
