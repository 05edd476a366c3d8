// Owns the CPU loops of RMSNorm. Called by kernels/norm.cpp.
#include "loops.hpp"
#include "ops.hpp"

namespace mtrain::kernels::cpu {
namespace {

template <class T>
MT_INLINE void scale_row(const T* x, const T* weight, float rstd, int64_t hidden, T* y) {
#pragma omp simd
  for (int64_t h = 0; h < hidden; ++h)
    y[h] = rounded<T>(through<T>(load(x[h]) * rstd) * load(weight[h]));
}

template <class T>
MT_SIMD void forward_rows(int64_t begin, int64_t end, int64_t hidden, float eps,
                          const T* x, const T* delta, const T* weight, T* sum, T* y,
                          float* rstd) {
  for (int64_t t = begin; t < end; ++t) {
    const T* row = x + t * hidden;
    if (delta != nullptr) {
      T* out = sum + t * hidden;
      const T* other = delta + t * hidden;
#pragma omp simd
      for (int64_t h = 0; h < hidden; ++h)
        out[h] = rounded<T>(load(row[h]) + load(other[h]));
      row = out;
    }
    const float mean = dot(row, row, hidden) / static_cast<float>(hidden);
    rstd[t] = 1.0f / __builtin_sqrtf(mean + eps);
    scale_row(row, weight, rstd[t], hidden, y + t * hidden);
  }
}

template <class T>
MT_SIMD void apply_rows(int64_t begin, int64_t end, int64_t hidden, const T* x,
                        const T* weight, const float* rstd, T* y) {
  for (int64_t t = begin; t < end; ++t)
    scale_row(x + t * hidden, weight, rstd[t], hidden, y + t * hidden);
}

/// With n = x rstd: dx = rstd (dy w - n mean(dy w n)) + dresidual, dweight += dy n.
template <class T>
MT_SIMD void backward_rows(int64_t begin, int64_t end, int64_t hidden, const T* dy_TH,
                           const T* x_TH, const T* weight, const float* rstd_T,
                           const T* dresidual_TH, T* dx_TH, float* dweight) {
  for (int64_t t = begin; t < end; ++t) {
    const T* dy = dy_TH + t * hidden;
    const T* x = x_TH + t * hidden;
    T* dx = dx_TH + t * hidden;
    const float rstd = rstd_T[t];
    float dot = 0;
#pragma omp simd reduction(+ : dot)
    for (int64_t h = 0; h < hidden; ++h)
      dot += load(dy[h]) * load(weight[h]) * load(x[h]);
    const float pull = dot * rstd * rstd / static_cast<float>(hidden);
    const T* dresidual = dresidual_TH == nullptr ? nullptr : dresidual_TH + t * hidden;
    if (dresidual != nullptr) {
#pragma omp simd
      for (int64_t h = 0; h < hidden; ++h)
        dx[h] = rounded<T>(load(dresidual[h]) +
                           rstd * (load(dy[h]) * load(weight[h]) - load(x[h]) * pull));
    } else {
#pragma omp simd
      for (int64_t h = 0; h < hidden; ++h)
        dx[h] = rounded<T>(rstd * (load(dy[h]) * load(weight[h]) - load(x[h]) * pull));
    }
#pragma omp simd
    for (int64_t h = 0; h < hidden; ++h)
      dweight[h] += load(dy[h]) * through<T>(load(x[h]) * rstd);
  }
}

template <class T>
const T* data_or_null(const Tensor& x) {
  return x.defined() ? data<T>(x) : nullptr;
}

}  // namespace

void rms_norm_forward(const Tensor& x, const Tensor& delta, const Tensor& weight,
                      double eps, Tensor& sum, Tensor& y, Tensor& rstd) {
  const int64_t hidden = x.size(1);
  with_type(x.scalar_type(), [&](auto type) {
    using T = decltype(type);
    T* out = sum.defined() ? data<T>(sum) : nullptr;
    over_rows(x.size(0), hidden, [&](int64_t begin, int64_t end) {
      forward_rows<T>(begin, end, hidden, static_cast<float>(eps), data<T>(x),
                      data_or_null<T>(delta), data<T>(weight), out, data<T>(y),
                      data<float>(rstd));
    });
  });
}

void rms_norm_apply(const Tensor& x, const Tensor& weight, const Tensor& rstd,
                    Tensor& y) {
  const int64_t hidden = x.size(1);
  with_type(x.scalar_type(), [&](auto type) {
    using T = decltype(type);
    over_rows(x.size(0), hidden, [&](int64_t begin, int64_t end) {
      apply_rows<T>(begin, end, hidden, data<T>(x), data<T>(weight), data<float>(rstd),
                    data<T>(y));
    });
  });
}

void rms_norm_backward(const Tensor& dy, const Tensor& x, const Tensor& weight,
                       const Tensor& rstd, const Tensor& dresidual, Tensor& dx,
                       Tensor& dweight) {
  const int64_t rows = x.size(0), hidden = x.size(1);
  BlockSums sums(rows, hidden);
  with_type(x.scalar_type(), [&](auto type) {
    using T = decltype(type);
    over_row_blocks(rows, [&](int64_t block, int64_t begin, int64_t end) {
      backward_rows<T>(begin, end, hidden, data<T>(dy), data<T>(x), data<T>(weight),
                       data<float>(rstd), data_or_null<T>(dresidual), data<T>(dx),
                       sums.of(block));
    });
  });
  sums.add_to(data<float>(dweight), 0, hidden);
}

}  // namespace mtrain::kernels::cpu
