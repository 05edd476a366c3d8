// Owns the CUDA kernels of the order by expert and of rows brought into it and back.
// Called by kernels/permute.cpp.
#include <ATen/ops/empty.h>

#include "ops.hpp"
#include "tools.cuh"

namespace mtrain::kernels::cuda {
namespace {

constexpr int kTokens = 256;  ///< of a block, one per thread
constexpr int kWords = kTokens / 32;

/// For each expert a bit per token of the block: whether it chose it.
__device__ __forceinline__ void mark(const int32_t* experts_TK, int64_t tokens,
                                     int choices, int experts, uint32_t* marks) {
  for (int i = threadIdx.x; i < experts * kWords; i += kTokens) marks[i] = 0;
  __syncthreads();
  const int64_t t = int64_t{blockIdx.x} * kTokens + threadIdx.x;
  for (int k = 0; t < tokens && k < choices; ++k) {
    const int e = experts_TK[t * choices + k];
    if (e >= 0) atomicOr(marks + e * kWords + threadIdx.x / 32, 1u << threadIdx.x % 32);
  }
  __syncthreads();
}

__global__ void __launch_bounds__(kTokens)
    count(const int32_t* __restrict__ experts_TK, int64_t tokens, int choices,
          int experts, int32_t* counts) {
  extern __shared__ uint32_t marks[];
  mark(experts_TK, tokens, choices, experts, marks);
  for (int e = threadIdx.x; e < experts; e += kTokens) {
    int sum = 0;
#pragma unroll
    for (int w = 0; w < kWords; ++w) sum += __popc(marks[e * kWords + w]);
    counts[int64_t{blockIdx.x} * experts + e] = sum;
  }
}

/// Turns the counts [blocks, experts] into the first row of each block in each expert,
/// as if the expert began at 0; then ends. One block of 1024 threads.
__global__ void __launch_bounds__(1024)
    scan(int32_t* counts, int blocks, int experts, int32_t* totals, int32_t* ends) {
  __shared__ int carry[kWarp];
  const int e = threadIdx.x, lane = e % kWarp, warp = e / kWarp;
  int total = 0;
  if (e < experts) {
#pragma unroll 8
    for (int b = 0; b < blocks; ++b) {
      const int here = counts[int64_t{b} * experts + e];
      counts[int64_t{b} * experts + e] = total;
      total += here;
    }
    totals[e] = total;
  }
  int sum = sum_up_to_lane(total);
  if (lane == kWarp - 1) carry[warp] = sum;
  __syncthreads();
  for (int w = 0; w < warp; ++w) sum += carry[w];
  if (e < experts) ends[e] = sum;
}

struct Order {
  int32_t *pairs, *tokens, *rows;
};

__global__ void __launch_bounds__(kTokens)
    place(const int32_t* __restrict__ experts_TK, int64_t tokens, int choices,
          int experts, const int32_t* __restrict__ firsts,
          const int32_t* __restrict__ ends, Order out) {
  extern __shared__ uint32_t marks[];
  mark(experts_TK, tokens, choices, experts, marks);
  const int64_t t = int64_t{blockIdx.x} * kTokens + threadIdx.x;
  if (t >= tokens) return;
  const int word = threadIdx.x / 32;
  const uint32_t below = (1u << threadIdx.x % 32) - 1;
  for (int k = 0; k < choices; ++k) {
    const auto pair = static_cast<int32_t>(t * choices + k);
    const int e = experts_TK[pair];
    if (e < 0) {
      out.rows[pair] = -1;
      continue;
    }
    const uint32_t* mine = marks + e * kWords;
    int row = (e == 0 ? 0 : ends[e - 1]) + firsts[int64_t{blockIdx.x} * experts + e] +
              __popc(mine[word] & below);
    for (int w = 0; w < word; ++w) row += __popc(mine[w]);
    out.rows[pair] = row;
    out.pairs[row] = pair;
    out.tokens[row] = static_cast<int32_t>(t);
  }
}

constexpr int kThreads = 256;
constexpr int kCopyWarps = kThreads / kWarp;

/// A warp per row; V is what a lane moves at once.
template <class V>
__global__ void __launch_bounds__(kThreads)
    gather(const V* __restrict__ x, const int32_t* __restrict__ index, V* y, int64_t rows,
           int groups) {
  const int64_t n = int64_t{blockIdx.x} * kCopyWarps + threadIdx.x / kWarp;
  if (n >= rows) return;
  const V* from = x + int64_t{index[n]} * groups;
  V* to = y + n * groups;
#pragma unroll 8
  for (int i = threadIdx.x % kWarp; i < groups; i += kWarp) to[i] = from[i];
}

/// A block per token.
template <class T, int W>
__global__ void __launch_bounds__(kThreads)
    sum(const T* __restrict__ x, const int32_t* __restrict__ rows, T* y, int choices,
        int groups) {
  const int64_t t = blockIdx.x;
  const int32_t* mine = rows + t * choices;
  for (int i = threadIdx.x; i < groups; i += kThreads) {
    float total[W] = {};
#pragma unroll 8
    for (int k = 0; k < choices; ++k) {
      const int64_t row = mine[k];
      if (row < 0) continue;
      const auto group = read<T, W>(x, row * groups + i);
#pragma unroll
      for (int w = 0; w < W; ++w) total[w] += group[w];
    }
    write(y, t * groups + i, group_of<T, W>(total));
  }
}

}  // namespace

void permutation(const Tensor& experts_TK, Permutation& out) {
  const int64_t tokens = experts_TK.size(0), experts = out.counts_E.size(0);
  MT_CHECK(experts <= 1024, "permutation: ", experts,
           " experts; the GPU takes up to 1024");
  const int64_t blocks = divided_up(tokens, kTokens);
  Tensor firsts = at::empty({blocks, experts}, experts_TK.options());
  const auto choices = static_cast<int>(experts_TK.size(1));
  const auto count_of = static_cast<int>(experts);
  const size_t marks = static_cast<size_t>(experts) * kWords * sizeof(uint32_t);
  const auto grid = static_cast<unsigned>(blocks);
  if (blocks > 0)
    count<<<grid, kTokens, marks, stream()>>>(data<int32_t>(experts_TK), tokens, choices,
                                              count_of, data<int32_t>(firsts));
  scan<<<1, 1024, 0, stream()>>>(data<int32_t>(firsts), static_cast<int>(blocks),
                                 count_of, data<int32_t>(out.counts_E),
                                 data<int32_t>(out.ends_E));
  if (blocks > 0)
    place<<<grid, kTokens, marks, stream()>>>(
        data<int32_t>(experts_TK), tokens, choices, count_of, data<int32_t>(firsts),
        data<int32_t>(out.ends_E),
        Order{data<int32_t>(out.pairs_N), data<int32_t>(out.tokens_N),
              data<int32_t>(out.rows_TK)});
  check_launch("permutation");
}

void gather_rows(const Tensor& x, const Tensor& index, Tensor& y) {
  if (y.numel() == 0) return;
  with_type(x.scalar_type(), [&](auto type) {
    using T = decltype(type);
    with_width<T>(vectors<T>(x.size(1), {data<T>(x), data<T>(y)}), [&](auto width) {
      using V = typename Group<T, width>::Raw;
      gather<V><<<static_cast<unsigned>(divided_up(y.size(0), kCopyWarps)), kThreads, 0,
                  stream()>>>(reinterpret_cast<const V*>(data<T>(x)),
                              data<int32_t>(index), reinterpret_cast<V*>(data<T>(y)),
                              y.size(0), static_cast<int>(x.size(1) / width));
    });
  });
  check_launch("gather_rows");
}

void sum_rows(const Tensor& x, const Tensor& rows, Tensor& y) {
  if (y.numel() == 0) return;
  with_type(x.scalar_type(), [&](auto type) {
    using T = decltype(type);
    with_width<T>(vectors<T>(x.size(1), {data<T>(x), data<T>(y)}), [&](auto width) {
      sum<T, width><<<static_cast<unsigned>(y.size(0)), kThreads, 0, stream()>>>(
          data<T>(x), data<int32_t>(rows), data<T>(y), static_cast<int>(rows.size(1)),
          static_cast<int>(x.size(1) / width));
    });
  });
  check_launch("sum_rows");
}

}  // namespace mtrain::kernels::cuda
