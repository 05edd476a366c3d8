// Owns the CUDA kernels of routing: a warp per token, its probabilities in registers.
// Called by kernels/router.cpp.
#include <ATen/ops/empty.h>

#include "ops.hpp"
#include "tools.cuh"

namespace mtrain::kernels::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kTokens = kThreads / kWarp;  ///< of a block at a time
constexpr unsigned kAll = 0xffffffffu;

/// One token's values, expert e in lane e % 32 at e / 32; `filler` behind the last.
template <int N>
__device__ __forceinline__ void load_row(const float* row, int experts, float filler,
                                         float (&x)[N]) {
  const int lane = threadIdx.x % kWarp;
#pragma unroll
  for (int j = 0; j < N; ++j) {
    const int e = lane + kWarp * j;
    x[j] = e < experts ? row[e] : filler;
  }
}

template <int N>
__device__ __forceinline__ void store_row(const float (&x)[N], int experts, float* row) {
  const int lane = threadIdx.x % kWarp;
#pragma unroll
  for (int j = 0; j < N; ++j)
    if (lane + kWarp * j < experts) row[lane + kWarp * j] = x[j];
}

/// Turns logits into probabilities; returns log of the sum of exp(logit).
template <int N>
__device__ __forceinline__ float softmax(float (&x)[N]) {
  float largest = x[0], sum = 0;
#pragma unroll
  for (int j = 1; j < N; ++j) largest = fmaxf(largest, x[j]);
  largest = over_lanes<kWarp>(largest, [](float a, float b) { return fmaxf(a, b); });
#pragma unroll
  for (int j = 0; j < N; ++j) sum += x[j] = expf(x[j] - largest);
  sum = over_lanes<kWarp>(sum, Add());
#pragma unroll
  for (int j = 0; j < N; ++j) x[j] /= sum;
  return largest + logf(sum);
}

/// Bits that order probabilities as integers; NaN counts as 0.
__device__ __forceinline__ int rank_of(float p) {
  return p >= 0 ? __float_as_int(p) : 0;
}

/// The largest of all lanes' ranks, the lowest expert among equals; removes it.
template <int N>
__device__ __forceinline__ int take_largest(int (&rank)[N]) {
  const int lane = threadIdx.x % kWarp;
  int mine = rank[0], at = 0;
#pragma unroll
  for (int j = 1; j < N; ++j) {
    if (rank[j] <= mine) continue;
    mine = rank[j];
    at = j;
  }
  const int largest = __reduce_max_sync(kAll, mine);
  const unsigned expert = mine == largest ? lane + kWarp * at : 0x7fffffffu;
  const int chosen = static_cast<int>(__reduce_min_sync(kAll, expert));
#pragma unroll
  for (int j = 0; j < N; ++j)
    if (chosen == lane + kWarp * j) rank[j] = -1;
  return chosen;
}

struct Chosen {
  int32_t* experts;
  float* weights;
  int32_t* counts;
};

/// Chooses by p, which lies in `row` too.
template <int N>
__device__ __forceinline__ void choose(const float (&p)[N], const float* row, int experts,
                                       int choices, bool normalise, int64_t token,
                                       const Chosen& out) {
  const int lane = threadIdx.x % kWarp;
  int rank[N];
#pragma unroll
  for (int j = 0; j < N; ++j) rank[j] = lane + kWarp * j < experts ? rank_of(p[j]) : -1;
  float sum = 0;
  for (int k = 0; k < choices; ++k) {
    const int expert = take_largest(rank);
    const float weight = row[expert];
    sum += weight;
    if (lane != 0) continue;
    out.experts[token * choices + k] = expert;
    out.weights[token * choices + k] = weight;
    atomicAdd(out.counts + expert, 1);
  }
  if (!normalise) return;
  __syncwarp();
  for (int k = lane; k < choices; k += kWarp) out.weights[token * choices + k] /= sum;
}

template <int N>
__global__ void __launch_bounds__(kThreads)
    forward(const float* __restrict__ logits, float* probabilities, float* lse,
            Chosen out, int64_t tokens, int experts, int choices, bool normalise) {
  extern __shared__ int32_t counts[];
  for (int e = threadIdx.x; e < experts; e += kThreads) counts[e] = 0;
  __syncthreads();
  const Chosen mine{out.experts, out.weights, counts};
  for (int64_t t = int64_t{blockIdx.x} * kTokens + threadIdx.x / kWarp; t < tokens;
       t += int64_t{gridDim.x} * kTokens) {
    float x[N];
    load_row(logits + t * experts, experts, -INFINITY, x);
    const float log_sum = softmax(x);
    float* row = probabilities + t * experts;
    store_row(x, experts, row);
    if (threadIdx.x % kWarp == 0) lse[t] = log_sum;
    __syncwarp();
    choose(x, row, experts, choices, normalise, t, mine);
  }
  __syncthreads();
  for (int e = threadIdx.x; e < experts; e += kThreads)
    if (counts[e] > 0) atomicAdd(out.counts + e, counts[e]);
}

struct Backward {
  const float *dweights, *probabilities, *lse, *weights, *loss;
  const int32_t* experts;
  float lse_factor;
  float* dlogits;
};

/// dlogit = p (dp - sum p dp) + p dlse, dp the gradient of the probabilities.
template <int N>
__global__ void __launch_bounds__(kThreads)
    backward(Backward b, int64_t tokens, int experts, int choices, bool normalise) {
  const int64_t t = int64_t{blockIdx.x} * kTokens + threadIdx.x / kWarp;
  const int lane = threadIdx.x % kWarp;
  if (t >= tokens) return;
  float p[N], d[N];
  load_row(b.probabilities + t * experts, experts, 0.0f, p);
  load_row(b.loss, experts, 0.0f, d);
  float shared = 0, sum = 0;
  if (normalise) {
    for (int k = 0; k < choices; ++k) {
      const int64_t at = t * choices + k;
      shared += b.dweights[at] * b.weights[at];
      sum += b.probabilities[t * experts + b.experts[at]];
    }
  }
  const float scale = normalise ? 1 / sum : 1;
  for (int k = 0; k < choices; ++k) {
    const int expert = b.experts[t * choices + k];
    const float add = (b.dweights[t * choices + k] - shared) * scale;
#pragma unroll
    for (int j = 0; j < N; ++j)
      if (expert == lane + kWarp * j) d[j] += add;
  }
  float mean = 0;
#pragma unroll
  for (int j = 0; j < N; ++j) mean += p[j] * d[j];
  mean = over_lanes<kWarp>(mean, Add()) - b.lse_factor * b.lse[t];
#pragma unroll
  for (int j = 0; j < N; ++j) d[j] = p[j] * (d[j] - mean);
  store_row(d, experts, b.dlogits + t * experts);
}

/// Sums of a block's tokens: each expert's probability, lse^2, entropy.
template <int N>
__global__ void __launch_bounds__(kThreads)
    totals(const float* __restrict__ probabilities, const float* __restrict__ lse,
           double* partial, int64_t tokens, int experts) {
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  const int64_t warps = int64_t{gridDim.x} * kTokens;
  double sum[N] = {}, squares = 0, entropy = 0;
  for (int64_t t = int64_t{blockIdx.x} * kTokens + warp; t < tokens; t += warps) {
    float p[N], bits = 0;
    load_row(probabilities + t * experts, experts, 0.0f, p);
#pragma unroll
    for (int j = 0; j < N; ++j) {
      sum[j] += p[j];
      bits -= p[j] * logf(fmaxf(p[j], 1e-30f));
    }
    entropy += bits;
    if (lane == 0) squares += double{lse[t]} * lse[t];
  }
  double* row = partial + (int64_t{blockIdx.x} * kTokens + warp) * (experts + 2);
#pragma unroll
  for (int j = 0; j < N; ++j)
    if (lane + kWarp * j < experts) row[lane + kWarp * j] = sum[j];
  entropy = over_lanes<kWarp>(entropy, Add());
  if (lane != 0) return;
  row[experts] = squares;
  row[experts + 1] = entropy;
}

/// Column sums in the order of the rows; a block per column.
__global__ void __launch_bounds__(kThreads)
    add_rows(const double* __restrict__ partial, int rows, int columns, double* out) {
  __shared__ double scratch[kThreads / kWarp];
  double sum = 0;
  for (int r = threadIdx.x; r < rows; r += kThreads)
    sum += partial[int64_t{r} * columns + blockIdx.x];
  sum = over_block<kThreads>(sum, scratch, Add());
  if (threadIdx.x == 0) out[blockIdx.x] = sum;
}

/// Calls f with the values a lane holds of a token.
template <class F>
void with_lane_values(int64_t experts, const F& f) {
  if (experts <= 32)
    f(std::integral_constant<int, 1>{});
  else if (experts <= 128)
    f(std::integral_constant<int, 4>{});
  else if (experts <= 256)
    f(std::integral_constant<int, 8>{});
  else
    f(std::integral_constant<int, 32>{});
  MT_CHECK(experts <= 1024, "router: ", experts, " experts; the GPU takes up to 1024");
}

}  // namespace

void router_forward(const Tensor& logits, const RouterOptions& options, Routing& out) {
  const int64_t tokens = logits.size(0), experts = logits.size(1);
  out.counts_E.zero_();
  if (tokens == 0) return;
  const Chosen chosen{data<int32_t>(out.experts_TK), data<float>(out.weights_TK),
                      data<int32_t>(out.counts_E)};
  const int64_t blocks =
      std::min<int64_t>(divided_up(tokens, kTokens), 8 * multiprocessors());
  with_lane_values(experts, [&](auto n) {
    forward<n><<<static_cast<unsigned>(blocks), kThreads,
                 static_cast<size_t>(experts) * sizeof(int32_t), stream()>>>(
        data<float>(logits), data<float>(out.probabilities_TE), data<float>(out.lse_T),
        chosen, tokens, static_cast<int>(experts), static_cast<int>(options.choices),
        options.normalise);
  });
  check_launch("router_forward");
}

void router_backward(const Tensor& dweights, const Routing& routing,
                     const RouterOptions& options, const RouterLossGrad& losses,
                     Tensor& dlogits) {
  const int64_t tokens = dlogits.size(0), experts = dlogits.size(1);
  if (tokens == 0) return;
  const Backward b{data<float>(dweights),
                   data<float>(routing.probabilities_TE),
                   data<float>(routing.lse_T),
                   data<float>(routing.weights_TK),
                   data<float>(losses.probability_E),
                   data<int32_t>(routing.experts_TK),
                   static_cast<float>(losses.lse),
                   data<float>(dlogits)};
  with_lane_values(experts, [&](auto n) {
    backward<n>
        <<<static_cast<unsigned>(divided_up(tokens, kTokens)), kThreads, 0, stream()>>>(
            b, tokens, static_cast<int>(experts), static_cast<int>(options.choices),
            options.normalise);
  });
  check_launch("router_backward");
}

void router_totals(const Routing& routing, Tensor& sums) {
  const Tensor& p = routing.probabilities_TE;
  const int64_t tokens = p.size(0), experts = p.size(1);
  // By the tokens alone, so that the order of the sum is the same on every GPU.
  const int64_t blocks = std::clamp<int64_t>(tokens / (8 * kTokens), 1, 256);
  Tensor partial = at::empty({blocks * kTokens, experts + 2}, sums.options());
  with_lane_values(experts, [&](auto n) {
    totals<n><<<static_cast<unsigned>(blocks), kThreads, 0, stream()>>>(
        data<float>(p), data<float>(routing.lse_T), data<double>(partial), tokens,
        static_cast<int>(experts));
  });
  add_rows<<<static_cast<unsigned>(experts + 2), kThreads, 0, stream()>>>(
      data<double>(partial), static_cast<int>(partial.size(0)),
      static_cast<int>(experts + 2), data<double>(sums));
  check_launch("router_totals");
}

}  // namespace mtrain::kernels::cuda
