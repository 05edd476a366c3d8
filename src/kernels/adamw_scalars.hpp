// The scalars of an AdamW update and where they lie in their tensor; CPU loops and CUDA
// kernels read them alike.
#pragma once

#include <cstdint>

#ifdef __CUDACC__
#define MT_BOTH_SIDES __host__ __device__
#else
#define MT_BOTH_SIDES
#endif

#include <cmath>

namespace mtrain::kernels {

/// Doubles in the tensor of adamw_scalars.
constexpr int64_t kAdamWScalars = 8;

/// Formed in fp64, rounded where torch.optim.AdamW rounds them.
struct AdamWFactors {
  double apply;  ///< 0 when loss or gradient are not finite: the update does nothing
  double scale;  ///< of the gradients
  double keep;   ///< of decayed weights, 1 - lr * weight_decay
  double new_m, keep_v;
  double step;  ///< lr / (1 - beta1^t)
  double root;  ///< sqrt(1 - beta2^t)
  double epsilon;
};
static_assert(sizeof(AdamWFactors) == kAdamWScalars * sizeof(double));

/// `Options` is kernels::AdamW; `count` the updates so far, which this one adds to.
template <class Options>
MT_BOTH_SIDES inline AdamWFactors adamw_factors(const Options& o, double loss,
                                                double squares, int64_t& count) {
  const double norm = sqrt(squares);
  // False for NaN and infinity alike.
  const bool apply = loss - loss == 0.0 && norm - norm == 0.0;
  if (apply) ++count;
  const double t = static_cast<double>(count > 0 ? count : 1);
  const double clip = o.max_grad_norm / (norm + 1e-6);
  return {apply ? 1.0 : 0.0,
          o.max_grad_norm > 0 && clip < 1.0 ? clip : 1.0,
          1.0 - o.learning_rate * o.weight_decay,
          1.0 - o.beta1,
          o.beta2,
          o.learning_rate / (1.0 - pow(o.beta1, t)),
          sqrt(1.0 - pow(o.beta2, t)),
          o.epsilon};
}

/// The same as the loop over elements wants them.
struct AdamWFloats {
  MT_BOTH_SIDES AdamWFloats(const AdamWFactors& f, bool decay)
      : keep(static_cast<float>(decay ? f.keep : 1.0)),
        new_m(static_cast<float>(f.new_m)),
        keep_v(static_cast<float>(f.keep_v)),
        new_v(static_cast<float>(1.0 - f.keep_v)),
        step(static_cast<float>(f.step)),
        root(static_cast<float>(f.root)),
        epsilon(static_cast<float>(f.epsilon)),
        scale(static_cast<float>(f.scale)) {}
  float keep, new_m, keep_v, new_v, step, root, epsilon, scale;
};

}  // namespace mtrain::kernels
