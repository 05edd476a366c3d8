// Owns the CUDA kernels of RMSNorm. Called by kernels/norm.cpp. A row belongs to a warp
// or a block and stays in its registers between the sum and the result; rows too long for
// that are read again.
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include "ops.hpp"
#include "tools.cuh"

namespace mtrain::kernels::cuda {
namespace {

/// Blocks of the backward on a multiprocessor: rows and sums fill its registers.
constexpr int kResident = 2;

/// Threads that share a row, groups of W elements that each keeps, rows of a block.
template <int W, int threads, int groups>
struct Plan {
  static constexpr int kThreads = threads, kGroups = groups, kWide = W;
  static constexpr int kRows = threads == kWarp ? 4 : 1;
  static constexpr int64_t kSpan = int64_t{threads} * groups;  ///< in groups of W
};

template <class P>
__device__ __forceinline__ float row_sum(float x, float* scratch) {
  return over_block<P::kThreads>(x, scratch, Add{});
}

/// What one thread keeps of a row.
template <class T, class P>
struct Part {
  Group<T, P::kWide> at[P::kGroups];

  /// The groups of `row` from `first` on; zeros past `end`.
  __device__ __forceinline__ void load(const T* row, int64_t first, int64_t end) {
#pragma unroll
    for (int k = 0; k < P::kGroups; ++k) {
      const int64_t g = first + k * P::kThreads + threadIdx.x;
      at[k] = g < end ? read<T, P::kWide>(row, g) : zero_group<T, P::kWide>();
    }
  }
};

template <class T>
struct Forward {
  const T *x, *delta, *weight;
  T *sum, *y;
  float* rstd;
  int64_t rows, hidden;
  float eps;
};

/// kept <- kept + delta, rounded, and out to `sum`.
template <class T, class P>
__device__ __forceinline__ void add_delta(Part<T, P>& kept, const T* delta, T* sum,
                                          int64_t first, int64_t end) {
  constexpr int W = P::kWide;
  Part<T, P> other;
  other.load(delta, first, end);
#pragma unroll
  for (int k = 0; k < P::kGroups; ++k) {
    float total[W];
#pragma unroll
    for (int i = 0; i < W; ++i) total[i] = kept.at[k][i] + other.at[k][i];
    kept.at[k] = group_of<T, W>(total);
    const int64_t g = first + k * P::kThreads + threadIdx.x;
    if (g < end) write(sum, g, kept.at[k]);
  }
}

template <class T, class P>
__device__ __forceinline__ void scale_part(const Part<T, P>& kept, const T* weight,
                                           float rstd, T* y, int64_t first, int64_t end) {
  constexpr int W = P::kWide;
#pragma unroll
  for (int k = 0; k < P::kGroups; ++k) {
    const int64_t g = first + k * P::kThreads + threadIdx.x;
    if (g >= end) continue;
    const auto w = read<T, W>(weight, g);
    float out[W];
#pragma unroll
    for (int i = 0; i < W; ++i) out[i] = through<T>(kept.at[k][i] * rstd) * w[i];
    write(y, g, group_of<T, W>(out));
  }
}

template <class T, class P, bool with_delta>
__global__ void __launch_bounds__(P::kThreads* P::kRows) forward_rows(Forward<T> p) {
  __shared__ float scratch[kWarp];
  const int64_t t = int64_t{blockIdx.x} * P::kRows + threadIdx.y;
  if (t >= p.rows) return;
  const int64_t end = p.hidden / P::kWide, row = t * p.hidden;
  Part<T, P> kept;
  float squares = 0;
  for (int64_t first = 0; first < end; first += P::kSpan) {
    kept.load(p.x + row, first, end);
    if constexpr (with_delta) add_delta(kept, p.delta + row, p.sum + row, first, end);
#pragma unroll
    for (int k = 0; k < P::kGroups; ++k)
#pragma unroll
      for (int i = 0; i < P::kWide; ++i) squares += kept.at[k][i] * kept.at[k][i];
  }
  const float mean = row_sum<P>(squares, scratch) / static_cast<float>(p.hidden);
  const float rstd = 1.0f / sqrtf(mean + p.eps);
  if (threadIdx.x == 0) p.rstd[t] = rstd;
  for (int64_t first = 0; first < end; first += P::kSpan) {
    if (end > P::kSpan) kept.load((with_delta ? p.sum : p.x) + row, first, end);
    scale_part(kept, p.weight, rstd, p.y + row, first, end);
  }
}

template <class T, class P>
__global__ void __launch_bounds__(P::kThreads* P::kRows)
    apply_rows(const T* __restrict__ x, const T* __restrict__ weight,
               const float* __restrict__ rstd, T* __restrict__ y, int64_t rows,
               int64_t hidden) {
  const int64_t t = int64_t{blockIdx.x} * P::kRows + threadIdx.y;
  if (t >= rows) return;
  const int64_t end = hidden / P::kWide;
  Part<T, P> kept;
  for (int64_t first = 0; first < end; first += P::kSpan) {
    kept.load(x + t * hidden, first, end);
    scale_part(kept, weight, rstd[t], y + t * hidden, first, end);
  }
}

template <class T>
struct Backward {
  const T *dy, *x, *weight, *dresidual;
  const float* rstd;
  T* dx;
  float* partial;  ///< [blocks, hidden] of the weight's gradient
  int64_t rows, hidden;
};

/// What one thread keeps of the weight's gradient.
template <class P>
struct WeightSums {
  float at[P::kGroups][P::kWide] = {};

  template <class T>
  __device__ __forceinline__ void add(const Part<T, P>& dy, const Part<T, P>& x,
                                      float rstd) {
#pragma unroll
    for (int k = 0; k < P::kGroups; ++k)
#pragma unroll
      for (int i = 0; i < P::kWide; ++i)
        at[k][i] += dy.at[k][i] * through<T>(x.at[k][i] * rstd);
  }

  /// Adds to (or sets) the elements of `out` that the groups from `first` on stand for.
  __device__ __forceinline__ void put(float* out, int64_t first, int64_t end, bool add) {
#pragma unroll
    for (int k = 0; k < P::kGroups; ++k) {
      const int64_t g = first + k * P::kThreads + threadIdx.x;
      if (g >= end) continue;
#pragma unroll
      for (int i = 0; i < P::kWide; ++i) {
        float& total = out[g * P::kWide + i];
        total = add ? total + at[k][i] : at[k][i];
      }
    }
  }
};

template <class T, class P>
__device__ __forceinline__ float pull_of(const Part<T, P>& dy, const Part<T, P>& x,
                                         const T* weight, int64_t first, int64_t end) {
  float dot = 0;
#pragma unroll
  for (int k = 0; k < P::kGroups; ++k) {
    const int64_t g = first + k * P::kThreads + threadIdx.x;
    if (g >= end) continue;
    const auto w = read<T, P::kWide>(weight, g);
#pragma unroll
    for (int i = 0; i < P::kWide; ++i) dot += dy.at[k][i] * w[i] * x.at[k][i];
  }
  return dot;
}

/// With n = x rstd: dx = rstd (dy w - n mean(dy w n)) + dresidual.
template <class T, class P>
__device__ __forceinline__ void write_dx(const Part<T, P>& dy, const Part<T, P>& x,
                                         const Part<T, P>& dresidual, const T* weight,
                                         float rstd, float pull, T* dx, int64_t first,
                                         int64_t end) {
  constexpr int W = P::kWide;
#pragma unroll
  for (int k = 0; k < P::kGroups; ++k) {
    const int64_t g = first + k * P::kThreads + threadIdx.x;
    if (g >= end) continue;
    const auto w = read<T, W>(weight, g);
    float out[W];
#pragma unroll
    for (int i = 0; i < W; ++i)
      out[i] = dresidual.at[k][i] + rstd * (dy.at[k][i] * w[i] - x.at[k][i] * pull);
    write(dx, g, group_of<T, W>(out));
  }
}

/// Each block takes every gridDim.x-th set of rows and leaves one row of partial sums.
template <class T, class P, bool with_residual>
__global__ void __launch_bounds__(P::kThreads* P::kRows) backward_rows(Backward<T> p) {
  __shared__ float scratch[2][kWarp];
  const int64_t end = p.hidden / P::kWide;
  const bool several = end > P::kSpan;  // then sums pass through p.partial
  float* partial = p.partial + blockIdx.x * p.hidden;
  Part<T, P> dy, x, dresidual;
  WeightSums<P> sums;
  int turn = 0;
  for (int64_t t = int64_t{blockIdx.x} * P::kRows + threadIdx.y; t < p.rows;
       t += int64_t{gridDim.x} * P::kRows, turn ^= 1) {
    const int64_t row = t * p.hidden;
    float dot = 0;
    for (int64_t first = 0; first < end; first += P::kSpan) {
      dy.load(p.dy + row, first, end);
      x.load(p.x + row, first, end);
      if (with_residual && !several) dresidual.load(p.dresidual + row, first, end);
      dot += pull_of(dy, x, p.weight, first, end);
    }
    const float rstd = p.rstd[t];
    const float pull =
        row_sum<P>(dot, scratch[turn]) * rstd * rstd / static_cast<float>(p.hidden);
    for (int64_t first = 0; first < end; first += P::kSpan) {
      if (several) {
        dy.load(p.dy + row, first, end);
        x.load(p.x + row, first, end);
        if (with_residual) dresidual.load(p.dresidual + row, first, end);
        sums = {};
      }
      if (!with_residual) dresidual.load(nullptr, 0, 0);
      write_dx(dy, x, dresidual, p.weight, rstd, pull, p.dx + row, first, end);
      sums.add(dy, x, rstd);
      if (several) sums.put(partial, first, end, true);
    }
  }
  if (several) return;
  if constexpr (P::kRows == 1) {
    sums.put(partial, 0, end, false);
  } else {
    __shared__ float together[P::kSpan * P::kWide];
    for (int row = 0; row < P::kRows; ++row) {
      if (threadIdx.y == row) sums.put(together, 0, end, row > 0);
      __syncthreads();
    }
    for (int64_t j = threadIdx.y * kWarp + threadIdx.x; j < p.hidden;
         j += P::kRows * kWarp)
      partial[j] = together[j];
  }
}

/// Calls f with the plan for rows of `hidden` elements. The block's plans also take
/// longer rows; the warp's does not.
template <class T, class F>
void with_plan(int64_t hidden, std::initializer_list<const void*> pointers, const F& f) {
  constexpr int W = kWidth<T>;
  using Short = Plan<W, kWarp, 8>;
  if (!vectors<T>(hidden, pointers))
    f(Plan<1, 256, 8>{});
  else if (hidden <= Short::kSpan * W)
    f(Short{});
  else
    f(Plan<W, 256, 4>{});
}

template <class P>
dim3 block_of() {
  return dim3(P::kThreads, P::kRows);
}

template <class P>
unsigned grid_of(int64_t rows) {
  return static_cast<unsigned>(divided_up(rows, P::kRows));
}

}  // namespace

void rms_norm_forward(const Tensor& x, const Tensor& delta, const Tensor& weight,
                      double eps, Tensor& sum, Tensor& y, Tensor& rstd) {
  if (x.size(0) == 0) return;
  with_type(x.scalar_type(), [&](auto type) {
    using T = decltype(type);
    const Forward<T> p{data<T>(x),   data<T>(delta), data<T>(weight),
                       data<T>(sum), data<T>(y),     data<float>(rstd),
                       x.size(0),    x.size(1),      static_cast<float>(eps)};
    with_plan<T>(p.hidden, {p.x, p.delta, p.weight, p.sum, p.y}, [&](auto plan) {
      using P = decltype(plan);
      const auto kernel =
          p.delta != nullptr ? forward_rows<T, P, true> : forward_rows<T, P, false>;
      kernel<<<grid_of<P>(p.rows), block_of<P>(), 0, stream()>>>(p);
    });
  });
  check_launch("rms_norm_forward");
}

void rms_norm_apply(const Tensor& x, const Tensor& weight, const Tensor& rstd,
                    Tensor& y) {
  if (x.size(0) == 0) return;
  with_type(x.scalar_type(), [&](auto type) {
    using T = decltype(type);
    with_plan<T>(x.size(1), {data<T>(x), data<T>(weight), data<T>(y)}, [&](auto plan) {
      using P = decltype(plan);
      apply_rows<T, P><<<grid_of<P>(x.size(0)), block_of<P>(), 0, stream()>>>(
          data<T>(x), data<T>(weight), data<float>(rstd), data<T>(y), x.size(0),
          x.size(1));
    });
  });
  check_launch("rms_norm_apply");
}

void rms_norm_backward(const Tensor& dy, const Tensor& x, const Tensor& weight,
                       const Tensor& rstd, const Tensor& dresidual, Tensor& dx,
                       Tensor& dweight) {
  if (x.size(0) == 0) return;
  with_type(x.scalar_type(), [&](auto type) {
    using T = decltype(type);
    Backward<T> p{data<T>(dy),       data<T>(x),  data<T>(weight), data<T>(dresidual),
                  data<float>(rstd), data<T>(dx), nullptr,         x.size(0),
                  x.size(1)};
    with_plan<T>(p.hidden, {p.dy, p.x, p.weight, p.dresidual, p.dx}, [&](auto plan) {
      using P = decltype(plan);
      const int64_t blocks =
          std::min<int64_t>(divided_up(p.rows, P::kRows), kResident * multiprocessors());
      const bool several = p.hidden > P::kSpan * P::kWide;
      const Tensor partial = several ? at::zeros({blocks, p.hidden}, dweight.options())
                                     : at::empty({blocks, p.hidden}, dweight.options());
      p.partial = data<float>(partial);
      const auto kernel =
          p.dresidual != nullptr ? backward_rows<T, P, true> : backward_rows<T, P, false>;
      kernel<<<blocks, block_of<P>(), 0, stream()>>>(p);
      check_launch("rms_norm_backward");
      add_columns({p.partial, blocks, data<float>(dweight)}, {}, p.hidden);
    });
  });
}

}  // namespace mtrain::kernels::cuda
