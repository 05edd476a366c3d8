// Owns the CUDA kernels of the embedding lookup. Called by kernels/embedding.cpp. For the
// gradient, tokens are sorted by id (stably, so that equal ids keep their order) and each
// run of equal ids is summed by one warp per tile of columns.
#include <ATen/ops/empty.h>

#include <bit>
#include <cub/device/device_radix_sort.cuh>

#include "ops.hpp"
#include "tools.cuh"

namespace mtrain::kernels::cuda {
namespace {

constexpr int kWarps = 4;
constexpr int kBatch = 8;   ///< groups of a lane in flight in the forward
constexpr int kAhead = 16;  ///< rows of a run in flight in the backward
constexpr int kThreads = 256;

template <class T, int W>
__global__ void __launch_bounds__(kWarps* kWarp)
    gather(const T* __restrict__ table, const int64_t* __restrict__ ids, int64_t begin,
           int64_t table_rows, int64_t tokens, int64_t groups, T* __restrict__ out) {
  const int64_t t = int64_t{blockIdx.x} * kWarps + threadIdx.y;
  if (t >= tokens) return;
  const int64_t local = ids[t] - begin;
  const bool held = local >= 0 && local < table_rows;
  for (int64_t base = threadIdx.x; base < groups; base += kWarp * kBatch) {
    Group<T, W> x[kBatch];
#pragma unroll
    for (int k = 0; k < kBatch; ++k) {
      const int64_t g = base + k * kWarp;
      x[k] =
          held && g < groups ? read<T, W>(table, local * groups + g) : zero_group<T, W>();
    }
#pragma unroll
    for (int k = 0; k < kBatch; ++k) {
      const int64_t g = base + k * kWarp;
      if (g < groups) write(out, t * groups + g, x[k]);
    }
  }
}

/// Keys to sort by: the row of the table, or `rows` for ids of other slices; and the
/// tokens' positions.
__global__ void __launch_bounds__(kThreads)
    make_keys(const int64_t* ids, int64_t begin, int64_t rows, int64_t tokens,
              uint32_t* keys, uint32_t* positions) {
  const int64_t t = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (t >= tokens) return;
  const int64_t local = ids[t] - begin;
  keys[t] = static_cast<uint32_t>(local >= 0 && local < rows ? local : rows);
  positions[t] = static_cast<uint32_t>(t);
}

/// Each warp takes the run that starts at its place, if one does, and W columns a lane.
template <class T, int W>
__global__ void __launch_bounds__(kWarps* kWarp)
    add_runs(const uint32_t* __restrict__ keys, const uint32_t* __restrict__ positions,
             const T* __restrict__ dy, int64_t tokens, int64_t rows, int64_t groups,
             float* __restrict__ grad) {
  const int64_t start = int64_t{blockIdx.x} * kWarps + threadIdx.y;
  if (start >= tokens) return;
  const uint32_t key = keys[start];
  if (key == rows || (start > 0 && keys[start - 1] == key)) return;
  const int64_t column = int64_t{blockIdx.y} * kWarp + threadIdx.x;
  const bool live = column < groups;
  float sum[W] = {};
  if (live) {
    const auto before = read<float, W>(grad, key * groups + column);
#pragma unroll
    for (int i = 0; i < W; ++i) sum[i] = before[i];
  }
  for (int64_t base = start;; base += kWarp) {
    const int64_t mine = base + threadIdx.x;
    const bool same = mine < tokens && keys[mine] == key;
    const int count = __popc(__ballot_sync(0xffffffffu, same));
    const uint32_t position = same ? positions[mine] : 0;
    for (int first = 0; first < count; first += kAhead) {
      Group<T, W> x[kAhead];
#pragma unroll
      for (int r = 0; r < kAhead; ++r) {
        const int64_t t = __shfl_sync(0xffffffffu, position, first + r);
        x[r] = live && first + r < count ? read<T, W>(dy, t * groups + column)
                                         : zero_group<T, W>();
      }
#pragma unroll
      for (int r = 0; r < kAhead; ++r)
#pragma unroll
        for (int i = 0; i < W; ++i)
          if (first + r < count) sum[i] += x[r][i];
    }
    if (count < kWarp) break;
  }
  if (live) write(grad, key * groups + column, group_of<float, W>(sum));
}

struct Sorted {
  Tensor keys, positions;
};

/// The tokens by row of the table, those of other slices last.
Sorted sorted_tokens(const Tensor& ids, int64_t begin, int64_t rows) {
  const int64_t tokens = ids.size(0);
  const auto options = ids.options().dtype(at::kInt);
  const auto make = [&] { return at::empty({tokens}, options); };
  const auto words = [](const Tensor& x) {
    return reinterpret_cast<uint32_t*>(x.mutable_data_ptr<int32_t>());
  };
  const Tensor keys = make(), positions = make();
  make_keys<<<divided_up(tokens, kThreads), kThreads, 0, stream()>>>(
      data<int64_t>(ids), begin, rows, tokens, words(keys), words(positions));
  Sorted out{make(), make()};
  const int bits = std::bit_width(static_cast<uint64_t>(rows));
  size_t bytes = 0;
  const auto sort = [&](void* memory) {
    const cudaError_t error = cub::DeviceRadixSort::SortPairs(
        memory, bytes, words(keys), words(out.keys), words(positions),
        words(out.positions), static_cast<int>(tokens), 0, bits, stream());
    MT_CHECK(error == cudaSuccess, "embedding: sort: ", cudaGetErrorString(error));
  };
  sort(nullptr);
  const Tensor memory =
      at::empty({static_cast<int64_t>(bytes)}, ids.options().dtype(at::kByte));
  sort(memory.mutable_data_ptr());
  return out;
}

}  // namespace

void embedding_forward(const Tensor& table, const Tensor& ids, int64_t begin,
                       Tensor& out) {
  const int64_t tokens = ids.size(0);
  if (out.numel() == 0) return;
  with_type(table.scalar_type(), [&](auto type) {
    using T = decltype(type);
    with_width<T>(
        vectors<T>(table.size(1), {data<T>(table), data<T>(out)}), [&](auto width) {
          gather<T, width>
              <<<divided_up(tokens, kWarps), dim3(kWarp, kWarps), 0, stream()>>>(
                  data<T>(table), data<int64_t>(ids), begin, table.size(0), tokens,
                  table.size(1) / width, data<T>(out));
        });
  });
  check_launch("embedding_forward");
}

void embedding_backward(Tensor& grad, const Tensor& dy, const Tensor& ids,
                        int64_t begin) {
  const int64_t tokens = ids.size(0), rows = grad.size(0), hidden = grad.size(1);
  if (dy.numel() == 0 || rows == 0) return;
  MT_CHECK(rows < INT32_MAX && tokens < INT32_MAX, "embedding: ", rows, " rows, ", tokens,
           " tokens on a GPU");
  const Sorted sorted = sorted_tokens(ids, begin, rows);
  const auto words = [](const Tensor& x) {
    return reinterpret_cast<const uint32_t*>(x.const_data_ptr<int32_t>());
  };
  with_type(dy.scalar_type(), [&](auto type) {
    using T = decltype(type);
    const auto launch = [&](auto width) {
      const int64_t groups = hidden / width;
      add_runs<T, width><<<dim3(divided_up(tokens, kWarps), divided_up(groups, kWarp)),
                           dim3(kWarp, kWarps), 0, stream()>>>(
          words(sorted.keys), words(sorted.positions), data<T>(dy), tokens, rows, groups,
          data<float>(grad));
    };
    // Four columns a lane: few enough that long runs spread over many warps.
    if (hidden % 4 == 0 && vectors<float>(hidden, {data<T>(dy), data<float>(grad)}))
      launch(std::integral_constant<int, 4>{});
    else
      launch(std::integral_constant<int, 1>{});
  });
  check_launch("embedding_backward");
}

}  // namespace mtrain::kernels::cuda
