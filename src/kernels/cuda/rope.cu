// Owns the CUDA kernels of the q/k norm fused with rotary embedding. Called by
// kernels/rope.cpp. Legend: T tokens, D head dim; a head's halves are a = [0,
// D/2) and b = [D/2, D). A few neighbouring lanes share a head: each holds a piece of a
// and the piece of b that rotates with it.
#include <ATen/ops/empty.h>

#include "ops.hpp"
#include "tools.cuh"

namespace mtrain::kernels::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kResident = 2;  ///< blocks of the backward on a multiprocessor

/// Lanes that share a head, pairs of groups of W elements that each holds.
template <int W, int lanes, int pairs>
struct Plan {
  static constexpr int kWide = W, kLanes = lanes, kPairs = pairs;
  static constexpr int kTeams = kThreads / lanes;  ///< of a block
};

/// The heads of queries or of keys: where they are in the fused row and beside it.
template <class T>
struct Heads {
  const T* weight;
  T* rotated;  ///< [T, count, D]: the forward's result, or its gradient
  int64_t first, count;
};

/// Blocks [0, query_blocks) take the queries' heads, the others the keys'.
template <class T>
struct Params {
  Heads<T> q, k;
  const T* qkv;
  const float *cos, *sin;
  float* rstd;     ///< [T, N+K]
  T* dqkv;         ///< backward only
  float* partial;  ///< backward only: [blocks, D]
  int64_t tokens, row_heads, half;
  unsigned query_blocks;
  float eps;
};

template <class T, class P>
struct Piece {
  Group<T, P::kWide> a[P::kPairs], b[P::kPairs];

  __device__ __forceinline__ void load(const T* head, int64_t half, int lane) {
#pragma unroll
    for (int p = 0; p < P::kPairs; ++p) {
      const int g = p * P::kLanes + lane;
      const bool live = g * P::kWide < half;
      a[p] = live ? read<T, P::kWide>(head, g) : zero_group<T, P::kWide>();
      b[p] = live ? read<T, P::kWide>(head + half, g) : zero_group<T, P::kWide>();
    }
  }
};

/// cos and sin of a token; fp32 groups are read 16 bytes at a time.
template <class P>
struct Angles {
  float cos[P::kPairs][P::kWide], sin[P::kPairs][P::kWide];

  __device__ __forceinline__ void load(const float* cosines, const float* sines,
                                       int64_t half, int lane) {
#pragma unroll
    for (int p = 0; p < P::kPairs; ++p) {
      const int g = p * P::kLanes + lane;
      if (g * P::kWide >= half) continue;
      constexpr int step = P::kWide < 4 ? 1 : 4;
#pragma unroll
      for (int i = 0; i < P::kWide; i += step) {
        const auto c = read<float, step>(cosines + g * P::kWide + i, 0);
        const auto s = read<float, step>(sines + g * P::kWide + i, 0);
#pragma unroll
        for (int j = 0; j < step; ++j) {
          cos[p][i + j] = c[j];
          sin[p][i + j] = s[j];
        }
      }
    }
  }
};

/// What a team of lanes does: `kSet` heads of one token at a time.
struct Work {
  int64_t token, head;
};
template <int set>
__device__ __forceinline__ Work work_of(int64_t item, int64_t heads) {
  const int64_t sets = (heads + set - 1) / set;
  return {item / sets, item % sets * set};
}

template <class T, class P>
__device__ __forceinline__ float squares_of(const Piece<T, P>& x) {
  float sum = 0;
#pragma unroll
  for (int p = 0; p < P::kPairs; ++p)
#pragma unroll
    for (int i = 0; i < P::kWide; ++i)
      sum += x.a[p][i] * x.a[p][i] + x.b[p][i] * x.b[p][i];
  return over_lanes<P::kLanes>(sum, Add{});
}

template <class T, class P>
__device__ __forceinline__ void rotate(const Piece<T, P>& x, const Piece<T, P>& weight,
                                       const Angles<P>& angle, float rstd, T* y,
                                       int64_t half, int lane) {
  constexpr int W = P::kWide;
#pragma unroll
  for (int p = 0; p < P::kPairs; ++p) {
    const int g = p * P::kLanes + lane;
    if (g * W >= half) continue;
    float left[W], right[W];
#pragma unroll
    for (int i = 0; i < W; ++i) {
      const float a = through<T>(through<T>(x.a[p][i] * rstd) * weight.a[p][i]);
      const float b = through<T>(through<T>(x.b[p][i] * rstd) * weight.b[p][i]);
      left[i] = a * angle.cos[p][i] - b * angle.sin[p][i];
      right[i] = b * angle.cos[p][i] + a * angle.sin[p][i];
    }
    write(y, g, group_of<T, W>(left));
    write(y + half, g, group_of<T, W>(right));
  }
}

template <class T, class P, int set>
__global__ void __launch_bounds__(kThreads, 3) forward_heads(Params<T> p) {
  const bool query = blockIdx.x < p.query_blocks;
  const Heads<T> heads = query ? p.q : p.k;
  const int64_t block = query ? blockIdx.x : blockIdx.x - p.query_blocks;
  const int lane = threadIdx.x % P::kLanes;
  const Work w = work_of<set>(block * P::kTeams + threadIdx.x / P::kLanes, heads.count);
  const int64_t dim = 2 * p.half;
  // Lanes without work stay for the sums.
  const int live =
      w.token < p.tokens ? static_cast<int>(min(heads.count - w.head, int64_t{set})) : 0;
  const int64_t first = heads.first + w.head;
  Piece<T, P> x[set], weight;
#pragma unroll
  for (int h = 0; h < set; ++h)
    x[h].load(p.qkv + (w.token * p.row_heads + first + h) * dim, h < live ? p.half : 0,
              lane);
  Angles<P> angle;
  angle.load(p.cos + w.token * p.half, p.sin + w.token * p.half, live > 0 ? p.half : 0,
             lane);
  weight.load(heads.weight, p.half, lane);
  const int64_t normed = p.q.count + p.k.count;
#pragma unroll
  for (int h = 0; h < set; ++h) {
    const float mean = squares_of(x[h]) / static_cast<float>(dim);
    const float rstd = 1.0f / sqrtf(mean + p.eps);
    if (h >= live) continue;
    if (lane == 0) p.rstd[w.token * normed + first + h] = rstd;
    rotate(x[h], weight, angle, rstd,
           heads.rotated + (w.token * heads.count + w.head + h) * dim, p.half, lane);
  }
}

/// A lane's share of the gradient of the norm's weight.
template <class P>
struct WeightSums {
  float a[P::kPairs][P::kWide] = {}, b[P::kPairs][P::kWide] = {};
};

/// The rotation's inverse is its transpose; the norm's gradient is as in norm.cu.
template <class T, class P>
__device__ __forceinline__ void rotate_back(const Piece<T, P>& dy, const Piece<T, P>& x,
                                            const Piece<T, P>& weight,
                                            const Angles<P>& angle, float rstd, T* dx,
                                            int64_t half, int lane, bool live,
                                            WeightSums<P>& sums) {
  constexpr int W = P::kWide;
  float dot = 0;
  const auto turned = [&](int p, int i) {
    const float u = dy.a[p][i], v = dy.b[p][i];
    const float c = angle.cos[p][i], s = angle.sin[p][i];
    return float2{u * c + v * s, v * c - u * s};
  };
#pragma unroll
  for (int p = 0; p < P::kPairs; ++p) {
    if (!live || (p * P::kLanes + lane) * W >= half) continue;
#pragma unroll
    for (int i = 0; i < W; ++i) {
      const float2 d = turned(p, i);
      sums.a[p][i] += d.x * through<T>(x.a[p][i] * rstd);
      sums.b[p][i] += d.y * through<T>(x.b[p][i] * rstd);
      dot += d.x * weight.a[p][i] * x.a[p][i] + d.y * weight.b[p][i] * x.b[p][i];
    }
  }
  const float pull =
      over_lanes<P::kLanes>(dot, Add{}) * rstd * rstd / static_cast<float>(2 * half);
#pragma unroll
  for (int p = 0; p < P::kPairs; ++p) {
    const int g = p * P::kLanes + lane;
    if (!live || g * W >= half) continue;
    float left[W], right[W];
#pragma unroll
    for (int i = 0; i < W; ++i) {
      const float2 d = turned(p, i);
      left[i] = rstd * (d.x * weight.a[p][i] - x.a[p][i] * pull);
      right[i] = rstd * (d.y * weight.b[p][i] - x.b[p][i] * pull);
    }
    write(dx, g, group_of<T, W>(left));
    write(dx + half, g, group_of<T, W>(right));
  }
}

/// partial[0, D) <- the sums of the block's teams, in the order of the teams.
template <class P>
__device__ __forceinline__ void sum_teams(const WeightSums<P>& sums, float* partial,
                                          int64_t half, int lane) {
  constexpr int W = P::kWide, kHalf = P::kLanes * P::kPairs * W;
  constexpr int kRounds = kThreads / kWarp, kPerWarp = kWarp / P::kLanes;
  __shared__ float together[kRounds][2 * kHalf];
  const int warp = threadIdx.x / kWarp;
  const auto over_teams = [](float x) {
#pragma unroll
    for (int step = kPerWarp / 2; step > 0; step /= 2)
      x += __shfl_xor_sync(0xffffffffu, x, step * P::kLanes);
    return x;
  };
#pragma unroll
  for (int p = 0; p < P::kPairs; ++p) {
#pragma unroll
    for (int i = 0; i < W; ++i) {
      const float a = over_teams(sums.a[p][i]), b = over_teams(sums.b[p][i]);
      if (threadIdx.x % kWarp >= P::kLanes) continue;
      const int at = (p * P::kLanes + lane) * W + i;
      together[warp][at] = a;
      together[warp][kHalf + at] = b;
    }
  }
  __syncthreads();
  for (int64_t j = threadIdx.x; j < 2 * half; j += kThreads) {
    const int64_t at = j < half ? j : kHalf + j - half;
    float sum = 0;
    for (int r = 0; r < kRounds; ++r) sum += together[r][at];
    partial[j] = sum;
  }
}

template <class T, class P, int set>
__global__ void __launch_bounds__(kThreads, kResident) backward_heads(Params<T> p) {
  const bool query = blockIdx.x < p.query_blocks;
  const Heads<T> heads = query ? p.q : p.k;
  const int64_t block = query ? blockIdx.x : blockIdx.x - p.query_blocks;
  const int64_t blocks = query ? p.query_blocks : gridDim.x - p.query_blocks;
  const int lane = threadIdx.x % P::kLanes;
  const int64_t dim = 2 * p.half, normed = p.q.count + p.k.count;
  const int64_t sets = (heads.count + set - 1) / set, items = p.tokens * sets;
  Piece<T, P> weight;
  weight.load(heads.weight, p.half, lane);
  WeightSums<P> sums;
  // All teams of a block go round equally often: their lanes meet in the sums.
  for (int64_t base = block * P::kTeams; base < items; base += blocks * P::kTeams) {
    const int64_t item = base + threadIdx.x / P::kLanes;
    const Work w = work_of<set>(item, heads.count);
    const int live =
        item < items ? static_cast<int>(min(heads.count - w.head, int64_t{set})) : 0;
    const int64_t first = heads.first + w.head;
    Piece<T, P> x[set], dy[set];
    float rstd[set];
#pragma unroll
    for (int h = 0; h < set; ++h) {
      const int64_t half = h < live ? p.half : 0;
      x[h].load(p.qkv + (w.token * p.row_heads + first + h) * dim, half, lane);
      dy[h].load(heads.rotated + (w.token * heads.count + w.head + h) * dim, half, lane);
      rstd[h] = h < live ? p.rstd[w.token * normed + first + h] : 0.0f;
    }
    Angles<P> angle;
    angle.load(p.cos + w.token * p.half, p.sin + w.token * p.half, live > 0 ? p.half : 0,
               lane);
#pragma unroll
    for (int h = 0; h < set; ++h)
      rotate_back(dy[h], x[h], weight, angle, rstd[h],
                  p.dqkv + (w.token * p.row_heads + first + h) * dim, p.half, lane,
                  h < live, sums);
  }
  sum_teams(sums, p.partial + blockIdx.x * dim, p.half, lane);
}

/// Calls f with the plan for heads of `dim` elements.
template <class T, class F>
void with_plan(int64_t dim, std::initializer_list<const void*> pointers, const F& f) {
  constexpr int W = kWidth<T>;
  MT_CHECK(dim <= 256, "qk_norm_rope: heads of ", dim, " on a GPU; at most 256");
  const int64_t groups = dim / 2 / W;
  if (dim % (2 * W) != 0 || !vectors<T>(dim, pointers))
    f(Plan<1, kWarp, 4>{});
  else if (groups <= 4)
    f(Plan<W, 4, 1>{});
  else if (groups <= 8)
    f(Plan<W, 8, 1>{});
  else if (groups <= 16)
    f(Plan<W, 16, 1>{});
  else
    f(Plan<W, 32, 1>{});
}

template <class T>
Params<T> params_of(const Tensor& qkv, const Tensor& q, const Tensor& k,
                    const Tensor& q_weight, const Tensor& k_weight, const Tensor& rstd,
                    const RopeTable& table, const QkvShape& shape, double eps) {
  return {.q = {data<T>(q_weight), data<T>(q), 0, shape.query_heads},
          .k = {data<T>(k_weight), data<T>(k), shape.query_heads, shape.kv_heads},
          .qkv = data<T>(qkv),
          .cos = data<float>(table.cos_TD),
          .sin = data<float>(table.sin_TD),
          .rstd = data<float>(rstd),
          .dqkv = nullptr,
          .partial = nullptr,
          .tokens = qkv.size(0),
          .row_heads = shape.query_heads + 2 * shape.kv_heads,
          .half = shape.head_dim / 2,
          .query_blocks = 0,
          .eps = static_cast<float>(eps)};
}

/// Blocks that take `heads` heads of each token, `set` at a time, one each.
template <class P>
int64_t blocks_for(int64_t tokens, int64_t heads, int set) {
  return divided_up(tokens * divided_up(heads, set), P::kTeams);
}

}  // namespace

void qk_norm_rope_forward(const Tensor& qkv, const Tensor& q_weight,
                          const Tensor& k_weight, const RopeTable& table,
                          const QkvShape& shape, double eps, QkNormRope& out) {
  if (qkv.size(0) == 0) return;
  constexpr int kSet = 4;
  with_type(qkv.scalar_type(), [&](auto type) {
    using T = decltype(type);
    auto p = params_of<T>(qkv, out.q_TND, out.k_TKD, q_weight, k_weight, out.rstd_TNK,
                          table, shape, eps);
    with_plan<T>(shape.head_dim,
                 {p.qkv, p.q.rotated, p.k.rotated, p.q.weight, p.k.weight, p.cos, p.sin},
                 [&](auto plan) {
                   using P = decltype(plan);
                   const int64_t q = blocks_for<P>(p.tokens, p.q.count, kSet),
                                 k = blocks_for<P>(p.tokens, p.k.count, kSet);
                   p.query_blocks = q;
                   forward_heads<T, P, kSet><<<q + k, kThreads, 0, stream()>>>(p);
                 });
  });
  check_launch("qk_norm_rope_forward");
}

void qk_norm_rope_backward(const Tensor& dq, const Tensor& dk, const Tensor& qkv,
                           const Tensor& q_weight, const Tensor& k_weight,
                           const Tensor& rstd, const RopeTable& table,
                           const QkvShape& shape, Tensor& dqkv, Tensor& dq_weight,
                           Tensor& dk_weight) {
  if (qkv.size(0) == 0) return;
  constexpr int kSet = 2;
  with_type(qkv.scalar_type(), [&](auto type) {
    using T = decltype(type);
    auto p = params_of<T>(qkv, dq, dk, q_weight, k_weight, rstd, table, shape, 0.0);
    p.dqkv = data<T>(dqkv);
    with_plan<T>(
        shape.head_dim,
        {p.qkv, p.dqkv, p.q.rotated, p.k.rotated, p.q.weight, p.k.weight, p.cos, p.sin},
        [&](auto plan) {
          using P = decltype(plan);
          const int64_t resident = kResident * multiprocessors(),
                        heads = p.q.count + p.k.count;
          const int64_t k = std::min(blocks_for<P>(p.tokens, p.k.count, kSet),
                                     divided_up(resident * p.k.count, heads));
          const int64_t q = std::min(blocks_for<P>(p.tokens, p.q.count, kSet),
                                     std::max<int64_t>(1, resident - k));
          const Tensor partial = at::empty({q + k, shape.head_dim}, dq_weight.options());
          p.partial = data<float>(partial);
          p.query_blocks = q;
          backward_heads<T, P, kSet><<<q + k, kThreads, 0, stream()>>>(p);
          check_launch("qk_norm_rope_backward");
          add_columns({p.partial, q, data<float>(dq_weight)},
                      {p.partial + q * shape.head_dim, k, data<float>(dk_weight)},
                      shape.head_dim);
        });
  });
}

}  // namespace mtrain::kernels::cuda
