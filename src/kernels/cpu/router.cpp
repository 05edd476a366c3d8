// Owns the CPU loops of routing. Called by kernels/router.cpp.
#include <cmath>

#include "loops.hpp"
#include "ops.hpp"

namespace mtrain::kernels::cpu {
namespace {

void softmax_row(const float* logit, int64_t experts, float* p, float& lse) {
  const float largest = *std::max_element(logit, logit + experts);
  float sum = 0;
  for (int64_t e = 0; e < experts; ++e) {
    p[e] = std::exp(logit[e] - largest);
    sum += p[e];
  }
  for (int64_t e = 0; e < experts; ++e) p[e] /= sum;
  lse = largest + std::log(sum);
}

/// The `choices` largest of p, by insertion; an equal value stays behind the earlier one.
/// NaN is chosen last, so that every choice names an expert.
void choose(const float* p, int64_t experts, int64_t choices, int32_t* chosen) {
  const auto before = [&](float a, float b) { return a > b || (a == a && b != b); };
  int64_t held = 0;
  for (int64_t e = 0; e < experts; ++e) {
    int64_t at = held;
    while (at > 0 && before(p[e], p[chosen[at - 1]])) --at;
    if (at == choices) continue;
    held = std::min(held + 1, choices);
    for (int64_t i = held - 1; i > at; --i) chosen[i] = chosen[i - 1];
    chosen[at] = static_cast<int32_t>(e);
  }
}

float chosen_sum(const float* p, const int32_t* chosen, int64_t choices) {
  float sum = 0;
  for (int64_t k = 0; k < choices; ++k) sum += p[chosen[k]];
  return sum;
}

/// dlogit = p (dp - sum p dp) + p dlse, dp the gradient of the probabilities.
void backward_row(const float* dweight, const float* p, const int32_t* chosen,
                  const float* weight, int64_t experts, const RouterOptions& options,
                  const float* loss, float dlse, float* dlogit) {
  std::copy(loss, loss + experts, dlogit);
  float shared = 0, scale = 1;
  if (options.normalise) {
    for (int64_t k = 0; k < options.choices; ++k) shared += dweight[k] * weight[k];
    scale = 1 / chosen_sum(p, chosen, options.choices);
  }
  for (int64_t k = 0; k < options.choices; ++k)
    dlogit[chosen[k]] += (dweight[k] - shared) * scale;
  float mean = 0;
  for (int64_t e = 0; e < experts; ++e) mean += p[e] * dlogit[e];
  for (int64_t e = 0; e < experts; ++e) dlogit[e] = p[e] * (dlogit[e] - mean + dlse);
}

}  // namespace

void router_forward(const Tensor& logits, const RouterOptions& options, Routing& out) {
  const int64_t experts = logits.size(1), choices = options.choices;
  over_rows(logits.size(0), experts * choices, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      float* p = data<float>(out.probabilities_TE) + t * experts;
      int32_t* chosen = data<int32_t>(out.experts_TK) + t * choices;
      float* weight = data<float>(out.weights_TK) + t * choices;
      softmax_row(data<float>(logits) + t * experts, experts, p,
                  data<float>(out.lse_T)[t]);
      choose(p, experts, choices, chosen);
      const float sum = options.normalise ? chosen_sum(p, chosen, choices) : 1;
      for (int64_t k = 0; k < choices; ++k) weight[k] = p[chosen[k]] / sum;
    }
  });
  int32_t* counts = data<int32_t>(out.counts_E);
  std::fill(counts, counts + experts, 0);
  const int32_t* expert = data<int32_t>(out.experts_TK);
  for (int64_t i = 0; i < out.experts_TK.numel(); ++i) ++counts[expert[i]];
}

void router_backward(const Tensor& dweights, const Routing& routing,
                     const RouterOptions& options, const RouterLossGrad& losses,
                     Tensor& dlogits) {
  const int64_t experts = dlogits.size(1), choices = options.choices;
  over_rows(dlogits.size(0), experts * choices, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const auto dlse = static_cast<float>(losses.lse * data<float>(routing.lse_T)[t]);
      backward_row(data<float>(dweights) + t * choices,
                   data<float>(routing.probabilities_TE) + t * experts,
                   data<int32_t>(routing.experts_TK) + t * choices,
                   data<float>(routing.weights_TK) + t * choices, experts, options,
                   data<float>(losses.probability_E), dlse,
                   data<float>(dlogits) + t * experts);
    }
  });
}

void router_totals(const Routing& routing, Tensor& sums) {
  const int64_t experts = routing.probabilities_TE.size(1);
  double* sum = data<double>(sums);
  std::fill(sum, sum + experts + 2, 0.0);
  for (int64_t t = 0; t < routing.lse_T.size(0); ++t) {
    const float* p = data<float>(routing.probabilities_TE) + t * experts;
    const double lse = data<float>(routing.lse_T)[t];
    sum[experts] += lse * lse;
    for (int64_t e = 0; e < experts; ++e) {
      sum[e] += p[e];
      sum[experts + 1] -= p[e] * std::log(std::max(p[e], 1e-30f));
    }
  }
}

}  // namespace mtrain::kernels::cpu
