// Owns the CPU loops of the q/k norm fused with rotary embedding. Called by
// kernels/rope.cpp. Legend: T tokens, D head dim; a head's halves are a = [0, D/2) and b
// = [D/2, D).
#include <type_traits>

#include "loops.hpp"
#include "ops.hpp"

namespace mtrain::kernels::cpu {
namespace {

/// Calls f with half the head dim: a compile-time constant for the usual sizes, which
/// spares short loops their remainders.
template <class F>
void with_half(int64_t half, const F& f) {
  switch (half) {
    case 8:
      return f(std::integral_constant<int64_t, 8>{});
    case 16:
      return f(std::integral_constant<int64_t, 16>{});
    case 32:
      return f(std::integral_constant<int64_t, 32>{});
    case 64:
      return f(std::integral_constant<int64_t, 64>{});
    default:
      return f(half);
  }
}

/// Pointers of one token's angles.
struct Angles {
  const float* cos;
  const float* sin;
};

template <class T, class Half>
MT_INLINE float norm_rotate(Half half, const T* x, const T* weight, Angles angle,
                            float eps, T* y) {
  const float sum = dot(x, x, 2 * half);
  const float rstd = 1.0f / __builtin_sqrtf(sum / static_cast<float>(2 * half) + eps);
#pragma omp simd
  for (int64_t i = 0; i < half; ++i) {
    const float a = through<T>(through<T>(load(x[i]) * rstd) * load(weight[i]));
    const float b =
        through<T>(through<T>(load(x[half + i]) * rstd) * load(weight[half + i]));
    y[i] = rounded<T>(a * angle.cos[i] - b * angle.sin[i]);
    y[half + i] = rounded<T>(b * angle.cos[i] + a * angle.sin[i]);
  }
  return rstd;
}

/// The rotation's inverse is its transpose; the norm's gradient is as in norm.cpp.
template <class T, class Half>
MT_INLINE void norm_rotate_backward(Half half, const T* dy, const T* x, const T* weight,
                                    Angles angle, float rstd, T* dx, float* dweight) {
  alignas(64) float lane[kLanes] = {};
  for (int64_t begin = 0; begin < half; begin += kLanes) {
    const int64_t count = half - begin < kLanes ? half - begin : kLanes;
#pragma omp simd
    for (int64_t l = 0; l < count; ++l) {
      const int64_t i = begin + l;
      const float a = load(dy[i]) * angle.cos[i] + load(dy[half + i]) * angle.sin[i];
      const float b = load(dy[half + i]) * angle.cos[i] - load(dy[i]) * angle.sin[i];
      dweight[i] += a * through<T>(load(x[i]) * rstd);
      dweight[half + i] += b * through<T>(load(x[half + i]) * rstd);
      lane[l] += a * load(weight[i]) * load(x[i]) +
                 b * load(weight[half + i]) * load(x[half + i]);
    }
  }
  const float pull = sum_lanes(lane) * rstd * rstd / static_cast<float>(2 * half);
#pragma omp simd
  for (int64_t i = 0; i < half; ++i) {
    const float a = load(dy[i]) * angle.cos[i] + load(dy[half + i]) * angle.sin[i];
    const float b = load(dy[half + i]) * angle.cos[i] - load(dy[i]) * angle.sin[i];
    dx[i] = rounded<T>(rstd * (a * load(weight[i]) - load(x[i]) * pull));
    dx[half + i] =
        rounded<T>(rstd * (b * load(weight[half + i]) - load(x[half + i]) * pull));
  }
}

template <class T>
struct Forward {
  const T *qkv, *q_weight, *k_weight;
  const float *cos, *sin;
  float eps;
  T *q, *k;
  float* rstd;
};

template <class T, class Half>
MT_SIMD void forward_rows(Half half, int64_t begin, int64_t end, QkvShape shape,
                          Forward<T> p) {
  const int64_t dim = 2 * half, normed = shape.query_heads + shape.kv_heads;
  for (int64_t t = begin; t < end; ++t) {
    const T* row = p.qkv + t * (normed + shape.kv_heads) * dim;
    const Angles angle{p.cos + t * half, p.sin + t * half};
    for (int64_t n = 0; n < normed; ++n) {
      const bool query = n < shape.query_heads;
      T* y = query ? p.q + (t * shape.query_heads + n) * dim
                   : p.k + (t * shape.kv_heads + n - shape.query_heads) * dim;
      p.rstd[t * normed + n] = norm_rotate(
          half, row + n * dim, query ? p.q_weight : p.k_weight, angle, p.eps, y);
    }
  }
}

template <class T>
struct Backward {
  const T *dq, *dk, *qkv, *q_weight, *k_weight;
  const float *rstd, *cos, *sin;
  T* dqkv;
};

template <class T, class Half>
MT_SIMD void backward_rows(Half half, int64_t begin, int64_t end, QkvShape shape,
                           Backward<T> p, float* dq_weight, float* dk_weight) {
  const int64_t dim = 2 * half, normed = shape.query_heads + shape.kv_heads;
  for (int64_t t = begin; t < end; ++t) {
    const int64_t row = t * (normed + shape.kv_heads) * dim;
    const Angles angle{p.cos + t * half, p.sin + t * half};
    for (int64_t n = 0; n < normed; ++n) {
      const bool query = n < shape.query_heads;
      const T* dy = query ? p.dq + (t * shape.query_heads + n) * dim
                          : p.dk + (t * shape.kv_heads + n - shape.query_heads) * dim;
      norm_rotate_backward(half, dy, p.qkv + row + n * dim,
                           query ? p.q_weight : p.k_weight, angle, p.rstd[t * normed + n],
                           p.dqkv + row + n * dim, query ? dq_weight : dk_weight);
    }
  }
}

}  // namespace

void qk_norm_rope_forward(const Tensor& qkv, const Tensor& q_weight,
                          const Tensor& k_weight, const RopeTable& table,
                          const QkvShape& shape, double eps, QkNormRope& out) {
  with_type(qkv.scalar_type(), [&](auto type) {
    using T = decltype(type);
    const Forward<T> pointers{data<T>(qkv),
                              data<T>(q_weight),
                              data<T>(k_weight),
                              data<float>(table.cos_TD),
                              data<float>(table.sin_TD),
                              static_cast<float>(eps),
                              data<T>(out.q_TND),
                              data<T>(out.k_TKD),
                              data<float>(out.rstd_TNK)};
    with_half(shape.head_dim / 2, [&](auto half) {
      over_rows(qkv.size(0), qkv.size(1), [&](int64_t begin, int64_t end) {
        forward_rows(half, begin, end, shape, pointers);
      });
    });
  });
}

void qk_norm_rope_backward(const Tensor& dq, const Tensor& dk, const Tensor& qkv,
                           const Tensor& q_weight, const Tensor& k_weight,
                           const Tensor& rstd, const RopeTable& table,
                           const QkvShape& shape, Tensor& dqkv, Tensor& dq_weight,
                           Tensor& dk_weight) {
  const int64_t dim = shape.head_dim;
  BlockSums sums(qkv.size(0), 2 * dim);
  with_type(qkv.scalar_type(), [&](auto type) {
    using T = decltype(type);
    const Backward<T> pointers{data<T>(dq),
                               data<T>(dk),
                               data<T>(qkv),
                               data<T>(q_weight),
                               data<T>(k_weight),
                               data<float>(rstd),
                               data<float>(table.cos_TD),
                               data<float>(table.sin_TD),
                               data<T>(dqkv)};
    with_half(dim / 2, [&](auto half) {
      over_row_blocks(qkv.size(0), [&](int64_t block, int64_t begin, int64_t end) {
        backward_rows(half, begin, end, shape, pointers, sums.of(block),
                      sums.of(block) + dim);
      });
    });
  });
  sums.add_to(data<float>(dq_weight), 0, dim);
  sums.add_to(data<float>(dk_weight), dim, dim);
}

}  // namespace mtrain::kernels::cpu
