// Owns the CUDA kernels of cross-entropy: a block per row of logits. Called by
// kernels/cross_entropy.cpp. Where both passes are one kernel, a block of a whole
// multiprocessor keeps what it can of its row in shared memory; the rest of it is still
// in L2 when it is read again.
#include <limits>

#include "ops.hpp"
#include "tools.cuh"

namespace mtrain::kernels::cuda {
namespace {

constexpr int kThreads = 512;
constexpr int kLossThreads = 1024;
constexpr int kBatch = 4;  ///< groups of a thread in flight
constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// e^x for x <= 0 or so. What the fast instruction loses far below 0 (|x| 2^-24 of the
/// result) is far below bf16's last bit, and below fp32's beside the row's largest.
template <class T>
__device__ __forceinline__ float exponential(float x) {
  if constexpr (std::is_same_v<T, float>)
    return expf(x);
  else
    return __expf(x);
}

/// Maximum and sum of exp(x - maximum) of what has been seen. A maximum of -inf is not
/// subtracted: -inf - (-inf) would be NaN where the probability is 0.
struct Running {
  float max = -kInfinity;
  float sum = 0;

  __device__ __forceinline__ float shift() const {
    return max == -kInfinity ? 0.0f : max;
  }
  __device__ __forceinline__ void raise(float to) {
    const float before = max;
    max = fmaxf(max, to);
    if (max != before) sum *= expf(before - max);
  }
};

struct Merge {
  __device__ __forceinline__ Running operator()(Running a, Running b) const {
    Running out{fmaxf(a.max, b.max), 0};
    out.sum = a.sum * expf(a.max - out.shift()) + b.sum * expf(b.max - out.shift());
    return out;
  }
};

template <int threads>
__device__ __forceinline__ Running over_block(Running x, float2* scratch) {
  const auto over_warp = [](Running r) {
#pragma unroll
    for (int step = kWarp / 2; step > 0; step /= 2)
      r = Merge{}(r, {__shfl_xor_sync(0xffffffffu, r.max, step),
                      __shfl_xor_sync(0xffffffffu, r.sum, step)});
    return r;
  };
  x = over_warp(x);
  if (threadIdx.x % kWarp == 0) scratch[threadIdx.x / kWarp] = {x.max, x.sum};
  __syncthreads();
  const int warp = threadIdx.x % kWarp;
  const float2 part = warp < threads / kWarp ? scratch[warp] : float2{-kInfinity, 0.0f};
  return over_warp({part.x, part.y});
}

/// Where a row's first groups are kept between the passes.
template <class T, int W>
struct Cache {
  typename Group<T, W>::Raw* at;
  int64_t count;
};

/// The row's statistics so far of this thread, over whole groups and then the rest.
template <class T, int W, int threads>
__device__ __forceinline__ Running thread_statistics(const T* row, int64_t valid,
                                                     Cache<T, W> cache) {
  Running running;
  const int64_t groups = valid / W;
  for (int64_t base = threadIdx.x; base < groups; base += threads * kBatch) {
    Group<T, W> x[kBatch];
    int live = 0;
#pragma unroll
    for (int k = 0; k < kBatch; ++k) {
      if (base + k * threads >= groups) continue;
      x[k] = read<T, W>(row, base + k * threads);
      live = k + 1;
    }
    float max = running.max;
#pragma unroll
    for (int k = 0; k < kBatch; ++k) {
      if (k >= live) continue;
      if (base + k * threads < cache.count) cache.at[base + k * threads] = x[k].raw;
#pragma unroll
      for (int i = 0; i < W; ++i) max = fmaxf(max, x[k][i]);
    }
    running.raise(max);
    const float shift = running.shift();
#pragma unroll
    for (int k = 0; k < kBatch; ++k) {
      if (k >= live) continue;
#pragma unroll
      for (int i = 0; i < W; ++i) running.sum += exponential<T>(x[k][i] - shift);
    }
  }
  for (int64_t j = groups * W + threadIdx.x; j < valid; j += threads) {
    const float x = wide(row[j]);
    running.raise(x);
    running.sum += exponential<T>(x - running.shift());
  }
  return running;
}

/// The target's column where the slice holds it, else -1.
__device__ __forceinline__ int64_t held_column(int64_t target, VocabSlice slice) {
  const int64_t local = target - slice.begin;
  return target >= 0 && local >= 0 && local < slice.valid ? local : -1;
}

/// row <- w exp(row - shift) in the valid columns, 0 in the padding; the target's column
/// is the caller's. All zeros where w is 0.
template <class T, int W, int threads>
__device__ __forceinline__ void write_gradient(T* row, int64_t columns, int64_t valid,
                                               float shift, float w, Cache<T, W> cache) {
  const int64_t live = w == 0.0f ? 0 : valid, groups = live / W, all = columns / W;
  for (int64_t base = threadIdx.x; base < groups; base += threads * kBatch) {
    Group<T, W> x[kBatch];
#pragma unroll
    for (int k = 0; k < kBatch; ++k) {
      const int64_t g = base + k * threads;
      if (g >= groups) continue;
      if (g < cache.count)
        x[k].raw = cache.at[g];
      else
        x[k] = read<T, W>(row, g);
    }
#pragma unroll
    for (int k = 0; k < kBatch; ++k) {
      const int64_t g = base + k * threads;
      if (g >= groups) continue;
      float out[W];
#pragma unroll
      for (int i = 0; i < W; ++i) out[i] = w * exponential<T>(x[k][i] - shift);
      write(row, g, group_of<T, W>(out));
    }
  }
  for (int64_t j = groups * W + threadIdx.x; j < live; j += threads)
    row[j] = rounded<T>(w * exponential<T>(wide(row[j]) - shift));
  const int64_t zeros = divided_up(live, W);  // the first group without a live column
  for (int64_t j = live + threadIdx.x; j < min(zeros * W, columns); j += threads)
    row[j] = rounded<T>(0.0f);
  for (int64_t g = zeros + threadIdx.x; g < all; g += threads)
    write(row, g, zero_group<T, W>());
}

template <class T, int W>
__global__ void __launch_bounds__(kThreads)
    statistics_rows(const T* logits, const int64_t* targets, VocabSlice slice,
                    int64_t columns, float* max, float* sum, float* target) {
  __shared__ float2 scratch[kWarp];
  const int64_t t = blockIdx.x;
  const T* row = logits + t * columns;
  const Running whole = over_block<kThreads>(
      thread_statistics<T, W, kThreads>(row, slice.valid, {nullptr, 0}), scratch);
  if (threadIdx.x != 0) return;
  const int64_t local = held_column(targets[t], slice);
  max[t] = whole.max;
  sum[t] = whole.sum;
  target[t] = local >= 0 ? wide(row[local]) : 0.0f;
}

/// The gradient at the target's column, from the logit that was there.
template <class T>
__device__ __forceinline__ void write_target(T* row, int64_t local, float logit,
                                             float shift, float w) {
  if (threadIdx.x == 0 && local >= 0 && w != 0.0f)
    row[local] = rounded<T>(w * (exponential<T>(logit - shift) - 1.0f));
}

template <class T, int W>
__global__ void __launch_bounds__(kThreads)
    backward_rows(T* logits, const float* lse, const int64_t* targets,
                  const float* weight, VocabSlice slice, int64_t columns) {
  const int64_t t = blockIdx.x;
  T* row = logits + t * columns;
  const int64_t local = held_column(targets[t], slice);
  const float logit = local >= 0 ? wide(row[local]) : 0.0f;
  __syncthreads();
  write_gradient<T, W, kThreads>(row, columns, slice.valid, lse[t], weight[t],
                                 {nullptr, 0});
  __syncthreads();
  write_target(row, local, logit, lse[t], weight[t]);
}

template <class T, int W>
__global__ void __launch_bounds__(kLossThreads, 1)
    loss_rows(T* logits, const int64_t* targets, const float* weight, VocabSlice slice,
              int64_t rows, int64_t columns, int64_t cached, float* loss) {
  extern __shared__ uint4 kept[];
  __shared__ float2 scratch[kWarp];
  const Cache<T, W> cache{reinterpret_cast<typename Group<T, W>::Raw*>(kept), cached};
  for (int64_t t = blockIdx.x; t < rows; t += gridDim.x) {
    T* row = logits + t * columns;
    const int64_t target = targets[t], local = held_column(target, slice);
    const float w = weight[t];
    float lse = 0, logit = 0;
    if (target >= 0 || w != 0.0f) {
      logit = local >= 0 ? wide(row[local]) : 0.0f;
      const Running whole = over_block<kLossThreads>(
          thread_statistics<T, W, kLossThreads>(row, slice.valid, cache), scratch);
      lse = whole.max + logf(whole.sum);
    }
    if (threadIdx.x == 0) loss[t] = target < 0 ? 0.0f : lse - logit;
    write_gradient<T, W, kLossThreads>(row, columns, slice.valid, lse, w, cache);
    __syncthreads();  // of the row, before its target; of scratch, before the next row
    write_target(row, local, logit, lse, w);
  }
}

/// Shared memory a block may have to itself, less a little for what is declared.
int64_t shared_bytes() {
  int device = 0, bytes = 0;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
  return bytes - 1024;
}

/// Calls f(type, width) for these logits.
template <class F>
void with_logits(const Tensor& logits, const F& f) {
  with_type(logits.scalar_type(), [&](auto type) {
    using T = decltype(type);
    with_width<T>(vectors<T>(logits.size(1), {data<T>(logits)}),
                  [&](auto width) { f(type, width); });
  });
}

}  // namespace

void cross_entropy_statistics(const Tensor& logits, const Tensor& targets,
                              const VocabSlice& slice, RowStatistics& out) {
  if (logits.size(0) == 0) return;
  with_logits(logits, [&](auto type, auto width) {
    using T = decltype(type);
    statistics_rows<T, width><<<logits.size(0), kThreads, 0, stream()>>>(
        data<T>(logits), data<int64_t>(targets), slice, logits.size(1),
        data<float>(out.max_T), data<float>(out.sum_T), data<float>(out.target_T));
  });
  check_launch("cross_entropy_statistics");
}

void cross_entropy_backward_(Tensor& logits, const Tensor& lse, const Tensor& targets,
                             const Tensor& weight, const VocabSlice& slice) {
  if (logits.size(0) == 0) return;
  with_logits(logits, [&](auto type, auto width) {
    using T = decltype(type);
    backward_rows<T, width><<<logits.size(0), kThreads, 0, stream()>>>(
        data<T>(logits), data<float>(lse), data<int64_t>(targets), data<float>(weight),
        slice, logits.size(1));
  });
  check_launch("cross_entropy_backward_");
}

void cross_entropy_(Tensor& logits, const Tensor& targets, const Tensor& weight,
                    const VocabSlice& slice, Tensor& loss) {
  const int64_t rows = logits.size(0), columns = logits.size(1);
  if (rows == 0) return;
  with_logits(logits, [&](auto type, auto width) {
    using T = decltype(type);
    constexpr int64_t kBytes = width * sizeof(T);
    const int64_t cached = std::min(shared_bytes() / kBytes, slice.valid / width);
    const auto kernel = loss_rows<T, width>;
    cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                         static_cast<int>(cached * kBytes));
    kernel<<<std::min<int64_t>(rows, multiprocessors()), kLossThreads, cached * kBytes,
             stream()>>>(data<T>(logits), data<int64_t>(targets), data<float>(weight),
                         slice, rows, columns, cached, data<float>(loss));
  });
  check_launch("cross_entropy_");
}

}  // namespace mtrain::kernels::cuda
