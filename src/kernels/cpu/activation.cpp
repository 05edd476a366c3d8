// Owns the CPU loops of SwiGLU. Called by kernels/activation.cpp.
#include "loops.hpp"
#include "ops.hpp"

namespace mtrain::kernels::cpu {
namespace {

MT_INLINE float sigmoid(float x) {
  return 1.0f / (1.0f + exp_fast(-x));
}

template <class T>
MT_INLINE void forward_row(const T* gate, const T* up, int64_t width, T* y) {
#pragma omp simd
  for (int64_t f = 0; f < width; ++f) {
    const float g = load(gate[f]);
    y[f] = rounded<T>(g * sigmoid(g) * load(up[f]));
  }
}

template <class T>
MT_SIMD void forward_rows(int64_t begin, int64_t end, int64_t width, const T* gate_up,
                          T* y_TF) {
  for (int64_t t = begin; t < end; ++t) {
    const T* gate = gate_up + 2 * t * width;
    forward_row(gate, gate + width, width, y_TF + t * width);
  }
}

/// d silu(g) / dg = s (1 + g (1 - s)) with s = sigmoid(g).
template <class T>
MT_SIMD void backward_rows(int64_t begin, int64_t end, int64_t width, const T* dy_TF,
                           const T* gate_up, T* dgate_up, T* y_TF) {
  for (int64_t t = begin; t < end; ++t) {
    const T* gate = gate_up + 2 * t * width;
    const T* up = gate + width;
    const T* dy = dy_TF + t * width;
    T* dgate = dgate_up + 2 * t * width;
    T* dup = dgate + width;
#pragma omp simd
    for (int64_t f = 0; f < width; ++f) {
      const float g = load(gate[f]), d = load(dy[f]);
      const float s = sigmoid(g);
      dgate[f] = rounded<T>(d * load(up[f]) * s * (1.0f + g * (1.0f - s)));
      dup[f] = rounded<T>(d * g * s);
    }
    if (y_TF != nullptr) forward_row(gate, up, width, y_TF + t * width);
  }
}

}  // namespace

void swiglu_forward(const Tensor& gate_up, Tensor& y) {
  const int64_t width = y.size(1);
  with_type(y.scalar_type(), [&](auto type) {
    using T = decltype(type);
    over_rows(y.size(0), width, [&](int64_t begin, int64_t end) {
      forward_rows<T>(begin, end, width, data<T>(gate_up), data<T>(y));
    });
  });
}

void swiglu_backward(const Tensor& dy, const Tensor& gate_up, Tensor& dgate_up,
                     Tensor& y) {
  const int64_t width = dy.size(1);
  with_type(dy.scalar_type(), [&](auto type) {
    using T = decltype(type);
    over_rows(dy.size(0), width, [&](int64_t begin, int64_t end) {
      backward_rows<T>(begin, end, width, data<T>(dy), data<T>(gate_up),
                       data<T>(dgate_up), y.defined() ? data<T>(y) : nullptr);
    });
  });
}

}  // namespace mtrain::kernels::cpu
