// Owns the CPU loops of AdamW and of the sum of squares. Called by kernels/optimizer.cpp.
#include <cmath>

#include "loops.hpp"
#include "ops.hpp"

namespace mtrain::kernels::cpu {
namespace {

/// The update's scalars, formed in fp64 and rounded where torch.optim.AdamW rounds them.
struct Factors {
  Factors(const AdamW& o, bool decay)
      : keep(static_cast<float>(decay ? 1.0 - o.learning_rate * o.weight_decay : 1.0)),
        new_m(static_cast<float>(1.0 - o.beta1)),
        keep_v(static_cast<float>(o.beta2)),
        new_v(static_cast<float>(1.0 - o.beta2)),
        step(static_cast<float>(o.learning_rate /
                                (1.0 - std::pow(o.beta1, static_cast<double>(o.step))))),
        root(static_cast<float>(
            std::sqrt(1.0 - std::pow(o.beta2, static_cast<double>(o.step))))),
        epsilon(static_cast<float>(o.epsilon)),
        scale(static_cast<float>(o.gradient_scale)) {}
  float keep, new_m, keep_v, new_v, step, root, epsilon, scale;
};

template <class T>
MT_SIMD void update(Factors f, int64_t begin, int64_t end, float* master, float* m,
                    float* v, const float* grad, T* weight) {
#pragma omp simd
  for (int64_t i = begin; i < end; ++i) {
    const float g = grad[i] * f.scale;
    const float first = m[i] + (g - m[i]) * f.new_m;
    const float second = v[i] * f.keep_v + f.new_v * g * g;
    const float p = master[i] * f.keep -
                    f.step * first / (__builtin_sqrtf(second) / f.root + f.epsilon);
    m[i] = first;
    v[i] = second;
    master[i] = p;
    weight[i] = rounded<T>(p);
  }
}

MT_SIMD double squares(const float* x, int64_t count) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < count; ++i)
    sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  return sum;
}

}  // namespace

void adamw_update(const AdamW& options, Tensor& master, Tensor& m, Tensor& v,
                  const Tensor& grad, Tensor& weight,
                  const std::vector<Segment>& segments) {
  with_type(weight.scalar_type(), [&](auto type) {
    using T = decltype(type);
    for (const Segment& segment : segments) {
      const Factors factors(options, segment.decay);
      at::parallel_for(
          segment.begin, segment.end, kGrain, [&](int64_t begin, int64_t end) {
            update<T>(factors, begin, end, data<float>(master), data<float>(m),
                      data<float>(v), data<float>(grad), data<T>(weight));
          });
    }
  });
}

void sum_of_squares(const Tensor& flat, Tensor& sum) {
  constexpr int64_t kBlock = 1 << 16;
  const int64_t count = flat.numel(), blocks = (count + kBlock - 1) / kBlock;
  std::vector<double> partial(blocks);
  at::parallel_for(0, blocks, 1, [&](int64_t first, int64_t last) {
    for (int64_t b = first; b < last; ++b)
      partial[b] =
          squares(data<float>(flat) + b * kBlock, std::min(kBlock, count - b * kBlock));
  });
  double total = 0;
  for (double part : partial) total += part;
  *data<double>(sum) = total;
}

}  // namespace mtrain::kernels::cpu
