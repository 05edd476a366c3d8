// Owns the CPU loops of AdamW and of the sum of squares. Called by kernels/optimizer.cpp.
#include <cmath>

#include "../adamw_scalars.hpp"
#include "loops.hpp"
#include "ops.hpp"

namespace mtrain::kernels::cpu {
namespace {

/// Pointers to the first element of a segment. `master` may be `weight` itself.
template <class T>
struct Arrays {
  float *master, *m, *v;
  const float* grad;
  T* weight;
};

template <class T>
MT_SIMD void update(AdamWFloats f, int64_t begin, int64_t end, Arrays<T> p) {
#pragma omp simd
  for (int64_t i = begin; i < end; ++i) {
    const float g = p.grad[i] * f.scale;
    const float first = p.m[i] + (g - p.m[i]) * f.new_m;
    const float second = p.v[i] * f.keep_v + f.new_v * g * g;
    const float value = p.master[i] * f.keep -
                        f.step * first / (__builtin_sqrtf(second) / f.root + f.epsilon);
    p.m[i] = first;
    p.v[i] = second;
    p.master[i] = value;
    p.weight[i] = rounded<T>(value);
  }
}

MT_SIMD double squares(const float* x, int64_t count) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < count; ++i)
    sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  return sum;
}

double segment_squares(const float* x, int64_t count) {
  constexpr int64_t kBlock = 1 << 16;
  const int64_t blocks = (count + kBlock - 1) / kBlock;
  std::vector<double> partial(blocks);
  at::parallel_for(0, blocks, 1, [&](int64_t first, int64_t last) {
    for (int64_t b = first; b < last; ++b)
      partial[b] = squares(x + b * kBlock, std::min(kBlock, count - b * kBlock));
  });
  double total = 0;
  for (double part : partial) total += part;
  return total;
}

}  // namespace

void adamw_scalars(const AdamW& options, const Tensor& totals, Tensor& updates,
                   Tensor& scalars) {
  const double* total = totals.const_data_ptr<double>();
  *reinterpret_cast<AdamWFactors*>(data<double>(scalars)) =
      adamw_factors(options, total[0], total[1], *data<int64_t>(updates));
}

void adamw_update(const Tensor& scalars, AdamWState& state, const Tensor& grads,
                  Tensor& weights, const SegmentTable& segments) {
  const auto& factors =
      *reinterpret_cast<const AdamWFactors*>(scalars.const_data_ptr<double>());
  if (factors.apply == 0) return;
  with_type(weights.scalar_type(), [&](auto type) {
    using T = decltype(type);
    for (const Segment& s : segments.segments()) {
      T* weight = data<T>(weights) + s.flat;
      float* master = state.master.defined() ? data<float>(state.master) + s.state
                                             : reinterpret_cast<float*>(weight);
      const Arrays<T> arrays{master, data<float>(state.exp_avg) + s.state,
                             data<float>(state.exp_avg_sq) + s.state,
                             grads.const_data_ptr<float>() + s.flat, weight};
      const AdamWFloats f(factors, s.decay);
      at::parallel_for(0, s.length, kGrain, [&](int64_t begin, int64_t end) {
        update<T>(f, begin, end, arrays);
      });
    }
  });
}

void sum_of_squares(const Tensor& grads, const SegmentTable& segments, Tensor& sum) {
  double total = 0;
  for (const Segment& s : segments.segments())
    total += segment_squares(grads.const_data_ptr<float>() + s.flat, s.length);
  *data<double>(sum) = total;
}

}  // namespace mtrain::kernels::cpu
