// Owns the CPU loops of SwiGLU times a weight per row. Called by kernels/experts.cpp.
#include "loops.hpp"
#include "ops.hpp"

namespace mtrain::kernels::cpu {
namespace {

MT_INLINE float sigmoid(float x) {
  return 1.0f / (1.0f + exp_fast(-x));
}

template <class T>
MT_SIMD void forward_rows(int64_t begin, int64_t end, int64_t width, const T* gate_up,
                          const float* weight, T* y_NF) {
  for (int64_t n = begin; n < end; ++n) {
    const T* gate = gate_up + 2 * n * width;
    const T* up = gate + width;
    T* y = y_NF + n * width;
    const float w = weight[n];
#pragma omp simd
    for (int64_t f = 0; f < width; ++f) {
      const float g = load(gate[f]);
      y[f] = rounded<T>(g * sigmoid(g) * load(up[f]) * w);
    }
  }
}

template <class T>
MT_SIMD void backward_rows(int64_t begin, int64_t end, int64_t width, const T* dy_NF,
                           const T* gate_up, const float* weight, T* dgate_up,
                           float* dweight, T* y_NF) {
  for (int64_t n = begin; n < end; ++n) {
    const T *gate = gate_up + 2 * n * width, *up = gate + width;
    T *dgate = dgate_up + 2 * n * width, *dup = dgate + width;
    const T* dy = dy_NF + n * width;
    T* y = y_NF + n * width;
    const float w = weight[n];
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t f = 0; f < width; ++f) {
      const float g = load(gate[f]), u = load(up[f]), d = load(dy[f]);
      const float s = sigmoid(g), silu = g * s;
      sum += d * silu * u;
      y[f] = rounded<T>(silu * u * w);
      dgate[f] = rounded<T>(d * w * u * s * (1.0f + g * (1.0f - s)));
      dup[f] = rounded<T>(d * w * silu);
    }
    dweight[n] = sum;
  }
}

}  // namespace

void weighted_swiglu_forward(const Tensor& gate_up, const Tensor& weight, Tensor& y) {
  const int64_t width = y.size(1);
  with_type(y.scalar_type(), [&](auto type) {
    using T = decltype(type);
    over_rows(y.size(0), width, [&](int64_t begin, int64_t end) {
      forward_rows<T>(begin, end, width, data<T>(gate_up), data<float>(weight),
                      data<T>(y));
    });
  });
}

void weighted_swiglu_backward(const Tensor& dy, const Tensor& gate_up,
                              const Tensor& weight, WeightedSwigluGrad& grad) {
  const int64_t width = dy.size(1);
  with_type(dy.scalar_type(), [&](auto type) {
    using T = decltype(type);
    over_rows(dy.size(0), width, [&](int64_t begin, int64_t end) {
      backward_rows<T>(begin, end, width, data<T>(dy), data<T>(gate_up),
                       data<float>(weight), data<T>(grad.dgate_up),
                       data<float>(grad.dweight_N), data<T>(grad.y_NF));
    });
  });
}

}  // namespace mtrain::kernels::cpu
