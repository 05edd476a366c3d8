// Owns the CUDA kernels of AdamW and of the sum of squares: one block per piece of the
// segment table. Called by kernels/optimizer.cpp.
#include <ATen/ops/empty.h>

#include "../adamw_scalars.hpp"
#include "ops.hpp"
#include "tools.cuh"

namespace mtrain::kernels::cuda {
namespace {

constexpr int kThreads = 512;
constexpr int kSumThreads = 256;

struct Piece {
  int64_t state, flat, length, decay;
};
static_assert(sizeof(Piece) == 4 * sizeof(int64_t));

__global__ void scalars_of(AdamW options, const double* totals, int64_t* updates,
                           AdamWFactors* out) {
  *out = adamw_factors(options, totals[0], totals[1], *updates);
}

/// Pointers to the first element of a piece, or of the whole. `master` is null where
/// weights are their own.
template <class T>
struct Arrays {
  float *master, *m, *v;
  const float* grad;
  T* weight;

  __device__ Arrays piece(const Piece& p) const {
    return {master == nullptr ? nullptr : master + p.state, m + p.state, v + p.state,
            grad + p.flat, weight + p.flat};
  }
  /// Whether all of them can be read four elements at a time.
  __device__ bool in_fours() const {
    const auto bits = reinterpret_cast<uintptr_t>(master) |
                      reinterpret_cast<uintptr_t>(m) | reinterpret_cast<uintptr_t>(v) |
                      reinterpret_cast<uintptr_t>(grad);
    return bits % 16 == 0 && reinterpret_cast<uintptr_t>(weight) % (4 * sizeof(T)) == 0;
  }
};

/// W neighbouring elements of each array.
template <class T, int W>
struct State {
  Group<float, W> value, m, v, grad;

  __device__ __forceinline__ void load(const Arrays<T>& p, int64_t g) {
    if constexpr (std::is_same_v<T, float>)
      value = read<float, W>(p.weight, g);
    else
      value = read<float, W>(p.master, g);
    m = read<float, W>(p.m, g);
    v = read<float, W>(p.v, g);
    grad = read<float, W>(p.grad, g);
  }

  __device__ __forceinline__ void update(const AdamWFloats& f, const Arrays<T>& p,
                                         int64_t g) const {
    float first[W], second[W], moved[W];
#pragma unroll
    for (int i = 0; i < W; ++i) {
      const float scaled = grad[i] * f.scale;
      first[i] = m[i] + (scaled - m[i]) * f.new_m;
      second[i] = v[i] * f.keep_v + f.new_v * scaled * scaled;
      moved[i] =
          value[i] * f.keep - f.step * first[i] / (sqrtf(second[i]) / f.root + f.epsilon);
    }
    write(p.m, g, group_of<float, W>(first));
    write(p.v, g, group_of<float, W>(second));
    if constexpr (!std::is_same_v<T, float>)
      write(p.master, g, group_of<float, W>(moved));
    write(p.weight, g, group_of<T, W>(moved));
  }
};

/// Elements [begin, end) in groups of W, two groups of a thread in flight.
template <class T, int W>
__device__ __forceinline__ void update(const AdamWFloats& f, const Arrays<T>& p,
                                       int64_t begin, int64_t end) {
  const int64_t groups = end / W;
  for (int64_t g = begin / W + threadIdx.x; g < groups; g += 2 * kThreads) {
    State<T, W> here, next;
    const bool both = g + kThreads < groups;
    here.load(p, g);
    if (both) next.load(p, g + kThreads);
    here.update(f, p, g);
    if (both) next.update(f, p, g + kThreads);
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads, 2)
    update_pieces(const AdamWFactors* factors, const Piece* pieces, Arrays<T> whole) {
  if (factors->apply == 0) return;
  const Piece piece = pieces[blockIdx.x];
  const AdamWFloats f(*factors, piece.decay != 0);
  const Arrays<T> p = whole.piece(piece);
  const int64_t fours = p.in_fours() ? piece.length / 4 * 4 : 0;
  update<T, 4>(f, p, 0, fours);
  update<T, 1>(f, p, fours, piece.length);
}

template <int W>
__device__ __forceinline__ double squares(const float* x, int64_t begin, int64_t end) {
  double sum = 0;
#pragma unroll 4
  for (int64_t g = begin / W + threadIdx.x; g < end / W; g += kSumThreads) {
    const auto group = read<float, W>(x, g);
#pragma unroll
    for (int i = 0; i < W; ++i) {
      const double value = group[i];
      sum += value * value;
    }
  }
  return sum;
}

__global__ void __launch_bounds__(kSumThreads)
    piece_squares(const float* grads, const Piece* pieces, double* partial) {
  __shared__ double scratch[kSumThreads / kWarp];
  const Piece piece = pieces[blockIdx.x];
  const float* x = grads + piece.flat;
  const bool aligned = reinterpret_cast<uintptr_t>(x) % 16 == 0;
  const int64_t fours = aligned ? piece.length / 4 * 4 : 0;
  double sum = squares<4>(x, 0, fours);
  sum += squares<1>(x, fours, piece.length);
  sum = over_block<kSumThreads>(sum, scratch, Add{});
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

/// Of one block: *total <- the sum of `count` values.
__global__ void __launch_bounds__(1024)
    sum_all(const double* values, int64_t count, double* total) {
  __shared__ double scratch[kWarp];
  double sum = 0;
#pragma unroll 8
  for (int64_t i = threadIdx.x; i < count; i += 1024) sum += values[i];
  sum = over_block<1024>(sum, scratch, Add{});
  if (threadIdx.x == 0) *total = sum;
}

const Piece* pieces_of(const SegmentTable& segments) {
  return reinterpret_cast<const Piece*>(segments.pieces().const_data_ptr<int64_t>());
}

}  // namespace

void adamw_scalars(const AdamW& options, const Tensor& totals, Tensor& updates,
                   Tensor& scalars) {
  scalars_of<<<1, 1, 0, stream()>>>(
      options, totals.const_data_ptr<double>(), data<int64_t>(updates),
      reinterpret_cast<AdamWFactors*>(data<double>(scalars)));
  check_launch("adamw_scalars");
}

void adamw_update(const Tensor& scalars, AdamWState& state, const Tensor& grads,
                  Tensor& weights, const SegmentTable& segments) {
  const int64_t count = segments.pieces().size(0);
  if (count == 0) return;
  const auto* factors =
      reinterpret_cast<const AdamWFactors*>(scalars.const_data_ptr<double>());
  with_type(weights.scalar_type(), [&](auto type) {
    using T = decltype(type);
    const Arrays<T> arrays{data<float>(state.master), data<float>(state.exp_avg),
                           data<float>(state.exp_avg_sq), data<float>(grads),
                           data<T>(weights)};
    update_pieces<<<count, kThreads, 0, stream()>>>(factors, pieces_of(segments), arrays);
  });
  check_launch("adamw_update");
}

void sum_of_squares(const Tensor& grads, const SegmentTable& segments, Tensor& sum) {
  const int64_t count = segments.pieces().size(0);
  const Tensor partial = at::empty({count}, sum.options());
  if (count > 0)
    piece_squares<<<count, kSumThreads, 0, stream()>>>(
        data<float>(grads), pieces_of(segments), data<double>(partial));
  sum_all<<<1, 1024, 0, stream()>>>(data<double>(partial), count, data<double>(sum));
  check_launch("sum_of_squares");
}

}  // namespace mtrain::kernels::cuda
