// Owns the CUDA kernels of SwiGLU. Called by kernels/activation.cpp.
#include "ops.hpp"
#include "swiglu.cuh"
#include "tools.cuh"

namespace mtrain::kernels::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kRows = 4;  ///< that one block takes

template <class T, int W>
__global__ void __launch_bounds__(kThreads)
    forward(const T* __restrict__ gate_up, T* __restrict__ y, int64_t rows,
            int64_t groups) {
  const int64_t column = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (column >= groups) return;
#pragma unroll 2
  for (int64_t t = blockIdx.y; t < rows; t += gridDim.y) {
    const auto gate = read<T, W>(gate_up, 2 * t * groups + column);
    const auto up = read<T, W>(gate_up, (2 * t + 1) * groups + column);
    float out[W];
#pragma unroll
    for (int i = 0; i < W; ++i) out[i] = Silu(gate[i]).value * up[i];
    write(y, t * groups + column, group_of<T, W>(out));
  }
}

template <class T, int W, bool recompute>
__global__ void __launch_bounds__(kThreads)
    backward(const T* __restrict__ dy_TF, const T* __restrict__ gate_up,
             T* __restrict__ dgate_up, T* __restrict__ y_TF, int64_t rows,
             int64_t groups) {
  const int64_t column = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (column >= groups) return;
#pragma unroll 2
  for (int64_t t = blockIdx.y; t < rows; t += gridDim.y) {
    const auto gate = read<T, W>(gate_up, 2 * t * groups + column);
    const auto up = read<T, W>(gate_up, (2 * t + 1) * groups + column);
    const auto dy = read<T, W>(dy_TF, t * groups + column);
    float dgate[W], dup[W], y[W];
#pragma unroll
    for (int i = 0; i < W; ++i) {
      const Silu silu(gate[i]);
      dgate[i] = dy[i] * up[i] * silu.slope;
      dup[i] = dy[i] * silu.value;
      y[i] = silu.value * up[i];
    }
    write(dgate_up, 2 * t * groups + column, group_of<T, W>(dgate));
    write(dgate_up, (2 * t + 1) * groups + column, group_of<T, W>(dup));
    if constexpr (recompute) write(y_TF, t * groups + column, group_of<T, W>(y));
  }
}

/// Threads of a block and the grid for rows of `groups`.
struct Shape {
  Shape(int64_t rows, int64_t groups)
      : threads(static_cast<unsigned>(
            std::min<int64_t>(kThreads, divided_up(groups, kWarp) * kWarp))),
        grid(divided_up(groups, threads),
             std::min<int64_t>(divided_up(rows, kRows), 65535)) {}
  unsigned threads;
  dim3 grid;
};

}  // namespace

void swiglu_forward(const Tensor& gate_up, Tensor& y) {
  if (y.numel() == 0) return;
  with_type(y.scalar_type(), [&](auto type) {
    using T = decltype(type);
    const bool vector = vectors<T>(y.size(1), {data<T>(gate_up), data<T>(y)});
    with_width<T>(vector, [&](auto width) {
      const int64_t groups = y.size(1) / width;
      const Shape shape(y.size(0), groups);
      forward<T, width><<<shape.grid, shape.threads, 0, stream()>>>(
          data<T>(gate_up), data<T>(y), y.size(0), groups);
    });
  });
  check_launch("swiglu_forward");
}

void swiglu_backward(const Tensor& dy, const Tensor& gate_up, Tensor& dgate_up,
                     Tensor& y) {
  if (dy.numel() == 0) return;
  with_type(dy.scalar_type(), [&](auto type) {
    using T = decltype(type);
    const bool vector = vectors<T>(
        dy.size(1), {data<T>(dy), data<T>(gate_up), data<T>(dgate_up), data<T>(y)});
    with_width<T>(vector, [&](auto width) {
      const int64_t groups = dy.size(1) / width;
      const Shape shape(dy.size(0), groups);
      const auto kernel =
          y.defined() ? backward<T, width, true> : backward<T, width, false>;
      kernel<<<shape.grid, shape.threads, 0, stream()>>>(data<T>(dy), data<T>(gate_up),
                                                         data<T>(dgate_up), data<T>(y),
                                                         dy.size(0), groups);
    });
  });
  check_launch("swiglu_backward");
}

}  // namespace mtrain::kernels::cuda
