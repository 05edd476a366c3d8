// Owns the CUDA kernels of SwiGLU times a weight per row, a warp per row. Called by
// kernels/experts.cpp.
#include "ops.hpp"
#include "swiglu.cuh"
#include "tools.cuh"

namespace mtrain::kernels::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kRows = kThreads / kWarp;  ///< of a block

template <class T, int W>
__global__ void __launch_bounds__(kThreads)
    forward(const T* __restrict__ gate_up, const float* __restrict__ weight,
            T* __restrict__ y_NF, int64_t rows, int groups) {
  const int64_t n = int64_t{blockIdx.x} * kRows + threadIdx.x / kWarp;
  if (n >= rows) return;
  const float w = weight[n];
#pragma unroll 3
  for (int i = threadIdx.x % kWarp; i < groups; i += kWarp) {
    const auto gate = read<T, W>(gate_up, 2 * n * groups + i);
    const auto up = read<T, W>(gate_up, (2 * n + 1) * groups + i);
    float y[W];
#pragma unroll
    for (int j = 0; j < W; ++j) y[j] = Silu(gate[j]).value * up[j] * w;
    write(y_NF, n * groups + i, group_of<T, W>(y));
  }
}

template <class T, int W>
__global__ void __launch_bounds__(kThreads)
    backward(const T* __restrict__ dy_NF, const T* __restrict__ gate_up,
             const float* __restrict__ weight, T* __restrict__ dgate_up,
             float* __restrict__ dweight, T* __restrict__ y_NF, int64_t rows,
             int groups) {
  const int64_t n = int64_t{blockIdx.x} * kRows + threadIdx.x / kWarp;
  if (n >= rows) return;
  const float w = weight[n];
  float sum = 0;
#pragma unroll 3
  for (int i = threadIdx.x % kWarp; i < groups; i += kWarp) {
    const auto gate = read<T, W>(gate_up, 2 * n * groups + i);
    const auto up = read<T, W>(gate_up, (2 * n + 1) * groups + i);
    const auto dy = read<T, W>(dy_NF, n * groups + i);
    float dgate[W], dup[W], y[W];
#pragma unroll
    for (int j = 0; j < W; ++j) {
      const Silu silu(gate[j]);
      const float out = silu.value * up[j], d = dy[j] * w;
      sum += dy[j] * out;
      y[j] = out * w;
      dgate[j] = d * up[j] * silu.slope;
      dup[j] = d * silu.value;
    }
    write(dgate_up, 2 * n * groups + i, group_of<T, W>(dgate));
    write(dgate_up, (2 * n + 1) * groups + i, group_of<T, W>(dup));
    write(y_NF, n * groups + i, group_of<T, W>(y));
  }
  sum = over_lanes<kWarp>(sum, Add());
  if (threadIdx.x % kWarp == 0) dweight[n] = sum;
}

unsigned blocks_for(int64_t rows) {
  return static_cast<unsigned>(divided_up(rows, kRows));
}

}  // namespace

void weighted_swiglu_forward(const Tensor& gate_up, const Tensor& weight, Tensor& y) {
  if (y.numel() == 0) return;
  with_type(y.scalar_type(), [&](auto type) {
    using T = decltype(type);
    const bool vector = vectors<T>(y.size(1), {data<T>(gate_up), data<T>(y)});
    with_width<T>(vector, [&](auto width) {
      forward<T, width><<<blocks_for(y.size(0)), kThreads, 0, stream()>>>(
          data<T>(gate_up), data<float>(weight), data<T>(y), y.size(0),
          static_cast<int>(y.size(1) / width));
    });
  });
  check_launch("weighted_swiglu_forward");
}

void weighted_swiglu_backward(const Tensor& dy, const Tensor& gate_up,
                              const Tensor& weight, WeightedSwigluGrad& grad) {
  if (dy.numel() == 0) return;
  with_type(dy.scalar_type(), [&](auto type) {
    using T = decltype(type);
    const bool vector = vectors<T>(
        dy.size(1),
        {data<T>(dy), data<T>(gate_up), data<T>(grad.dgate_up), data<T>(grad.y_NF)});
    with_width<T>(vector, [&](auto width) {
      backward<T, width><<<blocks_for(dy.size(0)), kThreads, 0, stream()>>>(
          data<T>(dy), data<T>(gate_up), data<float>(weight), data<T>(grad.dgate_up),
          data<float>(grad.dweight_N), data<T>(grad.y_NF), dy.size(0),
          static_cast<int>(dy.size(1) / width));
    });
  });
  check_launch("weighted_swiglu_backward");
}

}  // namespace mtrain::kernels::cuda
