// Owns the grouped product: pairs of persistent blocks, in each a producer that copies
// tiles into a ring in shared memory and two warpgroups that multiply them, 64 rows of a
// tile each. A pair's tiles lie side by side, and what both read is copied once for both:
// L2 cannot feed all blocks otherwise.
// A tile never crosses experts; what it reads beyond its expert's rows is not stored, or
// zeroed where it would be summed.
#include "grouped_product.hpp"
#include "grouped_store.cuh"
#include "grouped_tiles.cuh"
#include "hopper.cuh"
#include "tensor_map.hpp"
#include "tools.cuh"

namespace mtrain::kernels::cuda {
namespace {

using namespace hopper;

constexpr int kStages = 4;
constexpr int kConsumers = 2;  ///< warpgroups that multiply
constexpr int kThreads = kGroup * (1 + kConsumers);
constexpr int kChunk = 64 * kDepth * 2;  ///< bytes of 64 x kDepth elements
constexpr int kAChunks = kRows / 64, kBChunks = kColumns / 64;

struct Stage {
  uint8_t a[kAChunks * kChunk];
  uint8_t b[kBChunks * kChunk];
};

template <Kind kind>
struct Shared {
  Stage stages[kStages];
  /// What a warpgroup's results pass through, in turn.
  Pieces pieces[kSumsRows<kind> ? kConsumers : 0];
  Barrier full[kStages], empty[kStages];
  int tile_ends[];  ///< pairs of tiles up to each expert; unused where all have as many

  static size_t bytes(int experts) {
    return sizeof(Shared) +
           (kSumsRows<kind> ? 0 : static_cast<size_t>(experts) * sizeof(int));
  }
};

/// Where results go: bf16 rows, or a map of fp32 matrices.
template <Kind kind>
using Output = std::conditional_t<kSumsRows<kind>, CUtensorMap, BFloat16*>;

/// Position in the ring of stages.
struct Ring {
  int stage = 0;
  uint32_t parity = 0;
  __device__ void advance() {
    if (++stage == kStages) {
      stage = 0;
      parity ^= 1;
    }
  }
};

/// Copies this block's share of an operand's chunks: all for itself, or half for both.
/// `at(i)` gives the box of chunk i.
template <int chunks, bool shared, class At>
__device__ __forceinline__ void copy_chunks(uint8_t* to, const CUtensorMap& map,
                                            Barrier& barrier, const At& at) {
  constexpr int mine = shared ? chunks / kPair : chunks;
  const int first = shared ? cluster_rank() * mine : 0;
#pragma unroll
  for (int i = first; i < first + mine; ++i) {
    const int3 box = at(i);
    copy_box<shared>(to + i * kChunk, map, box.x, box.y, box.z,
                     Arrival{barrier, (1 << kPair) - 1});
  }
}

template <Kind kind, bool same_columns>
__device__ __forceinline__ void copy_tile(const Tile& tile, int depth, Stage& to,
                                          const CUtensorMap& a, const CUtensorMap& b,
                                          Barrier& barrier) {
  copy_chunks<kAChunks, !same_columns>(to.a, a, barrier, [&](int i) {
    const int row = tile.row + 64 * i;
    return kSumsRows<kind> ? int3{row, depth, 0} : int3{depth, row, 0};
  });
  copy_chunks<kBChunks, same_columns>(to.b, b, barrier, [&](int i) {
    const int column = tile.column + 64 * i;
    if constexpr (kind == Kind::kForward) return int3{depth, column, tile.expert};
    return int3{column, depth, kSumsRows<kind> ? 0 : tile.expert};
  });
}

/// Which columns of the tile's matrix come with stage i of those that bring its values:
/// two pieces for each warpgroup, in the place of b.
constexpr int kValueColumns = 2 * kPiece, kValueStages = kColumns / kValueColumns;

__device__ __forceinline__ void copy_values(const Tile& tile, int i, Stage& to,
                                            const CUtensorMap& matrices,
                                            Barrier& barrier) {
#pragma unroll
  for (int piece = 0; piece < 2 * kConsumers; ++piece)
    copy_box<false>(to.b + piece * kPieceBytes, matrices,
                    tile.column + i * kValueColumns + piece % 2 * kPiece,
                    tile.row + piece / 2 * 64, tile.expert, Arrival{barrier});
}

template <Kind kind, bool add>
__device__ void produce(Shared<kind>& shared, const Sizes& sizes, const CUtensorMap& a,
                        const CUtensorMap& b, const Output<kind>& out) {
  Tiles<kind> tiles(sizes, shared.tile_ends);
  Ring ring;
  const auto next_stage = [&](int bytes, const auto& copy) {
    Barrier& full = shared.full[ring.stage];
    shared.empty[ring.stage].wait(ring.parity ^ 1);
    full.expect(bytes);
    copy(shared.stages[ring.stage], full);
    ring.advance();
  };
  for (Tile tile; tiles.next(tile);) {
    if constexpr (add) {
      if (tile.depth_begin == tile.depth_end) continue;
      for (int i = 0; i < kValueStages; ++i)
        next_stage(2 * kConsumers * kPieceBytes, [&](Stage& to, Barrier& full) {
          copy_values(tile, i, to, out, full);
        });
    }
    for (int depth = tile.depth_begin; depth < tile.depth_end; depth += kDepth) {
      next_stage(sizeof(Stage), [&](Stage& to, Barrier& full) {
        tile.same_columns ? copy_tile<kind, true>(tile, depth, to, a, b, full)
                          : copy_tile<kind, false>(tile, depth, to, a, b, full);
      });
    }
  }
}

/// Zeroes what was read of rows behind the expert's last: they are summed.
__device__ __forceinline__ void zero_rows(uint8_t* chunk, int from, int group) {
  for (int i = from * 8 + static_cast<int>(threadIdx.x) % kGroup; i < kDepth * 8;
       i += kGroup)
    reinterpret_cast<uint4*>(chunk)[i] = uint4{0, 0, 0, 0};
  publish_shared();
  named_barrier(1 + group, kGroup);
}

template <Kind kind>
__device__ __forceinline__ void multiply(Stage& stage, int group, bool add,
                                         float (&sum)[128]) {
  constexpr Major a_major = kSumsRows<kind> ? Major::kOuter : Major::kK;
  constexpr Major b_major = kind == Kind::kForward ? Major::kK : Major::kOuter;
  const uint64_t a = operand(stage.a + group * kChunk, kChunk);
  const uint64_t b = operand(stage.b, kChunk);
  begin_products();
#pragma unroll
  for (int k = 0; k < kDepth / 16; ++k)
    product_64x256x16<a_major, b_major>(sum, a + k * kSixteen<a_major>,
                                        b + k * kSixteen<b_major>, add || k > 0);
  commit_products();
}

/// Tells both blocks' producers that this warp is done with a stage.
__device__ __forceinline__ void release(Barrier* empty) {
  if (empty != nullptr && threadIdx.x % kWarp < kPair)
    empty->arrive_at(threadIdx.x % kWarp);
}

/// Adds the tile's sum over its depth, or sets it, where this warpgroup's rows are
/// inside.
template <Kind kind>
__device__ __forceinline__ void sum_tile(const Tile& tile, int group, bool inside,
                                         bool add, Shared<kind>& shared, Ring& ring,
                                         float (&sum)[128]) {
  Barrier* previous = nullptr;
  for (int depth = tile.depth_begin; depth < tile.depth_end; depth += kDepth) {
    Stage& stage = shared.stages[ring.stage];
    shared.full[ring.stage].wait(ring.parity);
    if (inside) {
      if (kSumsRows<kind> && tile.depth_end - depth < kDepth)
        zero_rows(stage.a + group * kChunk, tile.depth_end - depth, group);
      multiply<kind>(stage, group, add || depth != tile.depth_begin, sum);
      await_products<1>();
      release(previous);
      previous = &shared.empty[ring.stage];
    } else {
      release(&shared.empty[ring.stage]);
    }
    ring.advance();
  }
  await_products<0>();
  release(previous);
}

/// Takes the values that the tile's matrix holds as the sum's first terms.
__device__ __forceinline__ void take_values(Shared<Kind::kBackwardWeight>& shared,
                                            int group, bool inside, Ring& ring,
                                            float (&sum)[128]) {
  const int thread = threadIdx.x % kGroup, lane = thread % kWarp;
  const int row = thread / kWarp * 16 + lane / 4;
#pragma unroll
  for (int i = 0; i < kValueStages; ++i) {
    shared.full[ring.stage].wait(ring.parity);
    uint8_t* pieces = shared.stages[ring.stage].b + group * 2 * kPieceBytes;
#pragma unroll
    for (int j = 0; inside && j < kValueColumns / 4; ++j) {
      const int half = j % 2, column = j / 2 * 8 + lane % 4 * 2;
      const float2 value = *in_piece(pieces + column / kPiece * kPieceBytes,
                                     row + 8 * half, column % kPiece);
      const int to = (i * kValueColumns / 8 + j / 2) * 4 + 2 * half;
      sum[to] = value.x;
      sum[to + 1] = value.y;
    }
    release(&shared.empty[ring.stage]);
    ring.advance();
  }
}

template <Kind kind, bool add>
__device__ void consume(Shared<kind>& shared, const Sizes& sizes,
                        const Output<kind>& out) {
  const int group = static_cast<int>(threadIdx.x) / kGroup - 1;
  Tiles<kind> tiles(sizes, shared.tile_ends);
  Ring ring;
  float sum[128];
  for (Tile tile; tiles.next(tile);) {
    const bool inside = tile.row + 64 * group < tile.row_end;
    const bool empty = tile.depth_begin == tile.depth_end;
    if constexpr (kSumsRows<kind>) {
      if (add && empty) continue;
      if (add) take_values(shared, group, inside, ring, sum);
      if (!add && empty) std::fill(sum, sum + 128, 0.0f);
    }
    sum_tile<kind>(tile, group, inside, add, shared, ring, sum);
    if (!inside) continue;
    if constexpr (kSumsRows<kind>)
      store_matrix(tile, group, sum, shared.pieces[group], out);
    else
      store_rows(tile, group, sizes, sum, out);
  }
  await_put<0>();
}

template <Kind kind, bool add>
__global__ void __cluster_dims__(kPair, 1, 1) __launch_bounds__(kThreads, 1)
    grouped_product(const __grid_constant__ CUtensorMap a,
                    const __grid_constant__ CUtensorMap b,
                    const __grid_constant__ Sizes sizes,
                    const __grid_constant__ Output<kind> out) {
  extern __shared__ __align__(1024) uint8_t memory[];
  auto& shared = *reinterpret_cast<Shared<kind>*>(memory);
  if (threadIdx.x == 0) {
    prefetch_map(a);
    prefetch_map(b);
    for (int i = 0; i < kStages; ++i) {
      shared.full[i].init(1);
      shared.empty[i].init(kPair * kConsumers * kGroup / kWarp);
    }
    publish_barriers();
  }
  if (!kSumsRows<kind> && threadIdx.x / kWarp == 1) count_tiles(sizes, shared.tile_ends);
  __syncthreads();
  cluster_barrier();
  if (threadIdx.x < kGroup) {
    give_registers<40>();
    if (threadIdx.x == 0) produce<kind, add>(shared, sizes, a, b, out);
  } else {
    take_registers<232>();
    consume<kind, add>(shared, sizes, out);
  }
  cluster_barrier();  // the other block may still copy to this one and arrive here
}

template <Kind kind, bool add>
void launch(const CUtensorMap& a, const CUtensorMap& b, const Sizes& sizes,
            const Output<kind>& out) {
  const auto kernel = grouped_product<kind, add>;
  const size_t bytes = Shared<kind>::bytes(sizes.experts);
  const cudaError_t error = cudaFuncSetAttribute(
      kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes));
  MT_CHECK(error == cudaSuccess, "grouped product: ", sizes.experts,
           " experts: ", cudaGetErrorString(error));
  const int blocks = multiprocessors() / kPair * kPair;
  kernel<<<static_cast<unsigned>(blocks), kThreads, bytes, stream()>>>(a, b, sizes, out);
  check_launch("grouped_product");
}

int narrow(int64_t x) {
  MT_CHECK(x <= INT32_MAX, "grouped product: size ", x);
  return static_cast<int>(x);
}

Sizes sizes_of(const at::Tensor& ends_E, int64_t rows, int64_t columns, int64_t depth) {
  return {ends_E.const_data_ptr<int32_t>(), narrow(ends_E.size(0)), narrow(rows),
          narrow(columns), narrow(depth)};
}

template <Kind kind>
void launch_rows(const at::Tensor& a, const CUtensorMap& b, const Sizes& sizes,
                 at::Tensor& out) {
  launch<kind, false>(tensor_map(a.unsqueeze(0), {kDepth, 64, 1}), b, sizes,
                      data<BFloat16>(out));
}

}  // namespace

bool suits_grouped_product(const at::Tensor& rows, const at::Tensor& matrices_EOI) {
  static const bool hopper = [] {
    int device = 0, major = 0, minor = 0;
    cudaGetDevice(&device);
    cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
    cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device);
    return major == 9 && minor == 0;
  }();
  const auto on_16_bytes = [](const at::Tensor& x) {
    return reinterpret_cast<uintptr_t>(x.const_data_ptr()) % 16 == 0;
  };
  return hopper && rows.scalar_type() == at::kBFloat16 && matrices_EOI.size(1) % 8 == 0 &&
         matrices_EOI.size(2) % 8 == 0 && on_16_bytes(rows) && on_16_bytes(matrices_EOI);
}

void grouped_forward(const at::Tensor& x_NI, const at::Tensor& weight_EOI,
                     const at::Tensor& ends_E, at::Tensor& y_NO) {
  if (y_NO.numel() == 0) return;
  launch_rows<Kind::kForward>(x_NI, tensor_map(weight_EOI, {kDepth, 64, 1}),
                              sizes_of(ends_E, y_NO.size(0), y_NO.size(1), x_NI.size(1)),
                              y_NO);
}

void grouped_backward_input(const at::Tensor& dy_NO, const at::Tensor& weight_EOI,
                            const at::Tensor& ends_E, at::Tensor& dx_NI) {
  if (dx_NI.numel() == 0) return;
  launch_rows<Kind::kBackwardInput>(
      dy_NO, tensor_map(weight_EOI, {64, kDepth, 1}),
      sizes_of(ends_E, dx_NI.size(0), dx_NI.size(1), dy_NO.size(1)), dx_NI);
}

void grouped_backward_weight(at::Tensor& grad_EOI, const at::Tensor& dy_NO,
                             const at::Tensor& x_NI, const at::Tensor& ends_E, bool add) {
  if (x_NI.size(0) == 0) {
    if (!add) grad_EOI.zero_();
    return;
  }
  constexpr Kind kind = Kind::kBackwardWeight;
  const auto run = add ? launch<kind, true> : launch<kind, false>;
  run(tensor_map(dy_NO.unsqueeze(0), {64, kDepth, 1}),
      tensor_map(x_NI.unsqueeze(0), {64, kDepth, 1}),
      sizes_of(ends_E, grad_EOI.size(1), grad_EOI.size(2), x_NI.size(0)),
      tensor_map(grad_EOI, {kPiece, 64, 1}));
}

}  // namespace mtrain::kernels::cuda
