// How a warpgroup's 64 x 256 results of a grouped product reach memory. Used by
// cuda/grouped_product.cu.
#pragma once

#include "grouped_tiles.cuh"

namespace mtrain::kernels::cuda {

using namespace hopper;

constexpr int kGroup = 128;  ///< threads of a warpgroup
constexpr int kPiece = 32;   ///< columns of fp32 that pass through shared memory at once
constexpr int kPieceBytes = 64 * kPiece * 4;

/// What a warpgroup's fp32 results pass through, in turn.
using Pieces = float[2][64 * kPiece];

/// Transposes 4 x 4 words between neighbouring four lanes.
__device__ __forceinline__ void transpose_quad(uint32_t (&word)[4]) {
  const int lane = threadIdx.x % 4;
#pragma unroll
  for (int bit = 1; bit < 4; bit *= 2) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      if (j & bit) continue;
      const bool high = lane & bit;
      const uint32_t other =
          __shfl_xor_sync(0xffffffffu, high ? word[j] : word[j | bit], bit);
      (high ? word[j] : word[j | bit]) = other;
    }
  }
}

/// Rounds to bf16; a thread stores eight neighbours at once.
__device__ __forceinline__ void store_rows(const Tile& tile, int group,
                                           const Sizes& sizes, const float (&sum)[128],
                                           BFloat16* out) {
  const int thread = threadIdx.x % kGroup, lane = thread % kWarp;
  const int row = tile.row + 64 * group + thread / kWarp * 16 + lane / 4;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
#pragma unroll
    for (int i = 0; i < kColumns / 32; ++i) {
      uint32_t word[4];
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const float pair[2] = {sum[16 * i + 4 * j + 2 * half],
                               sum[16 * i + 4 * j + 2 * half + 1]};
        word[j] = group_of<BFloat16, 2>(pair).raw;
      }
      transpose_quad(word);
      const int column = tile.column + 32 * i + 8 * (lane % 4), at = row + 8 * half;
      if (at < tile.row_end && column < sizes.columns)
        *reinterpret_cast<uint4*>(out + int64_t{at} * sizes.columns + column) =
            uint4{word[0], word[1], word[2], word[3]};
    }
  }
}

/// Where two neighbours of a piece lie: 16 bytes are swizzled within a row of 128 by it.
__device__ __forceinline__ float2* in_piece(void* piece, int row, int column) {
  return reinterpret_cast<float2*>(static_cast<float*>(piece) + row * kPiece +
                                   ((column / 4) ^ (row % 8)) * 4 + column % 4);
}

/// Stores fp32 through shared memory, a piece behind the other; the copy engine leaves
/// out what is outside the expert's matrix.
__device__ __forceinline__ void store_matrix(const Tile& tile, int group,
                                             const float (&sum)[128], Pieces& pieces,
                                             const CUtensorMap& out) {
  const int thread = threadIdx.x % kGroup, lane = thread % kWarp;
  const int row = thread / kWarp * 16 + lane / 4;
#pragma unroll
  for (int i = 0; i < kColumns / kPiece; ++i) {
    float* piece = pieces[i % 2];
    if (thread == 0) await_put<1>();
    named_barrier(1 + group, kGroup);
#pragma unroll
    for (int j = 0; j < 2 * (kPiece / 8); ++j) {
      const int half = j % 2, column = j / 2 * 8 + lane % 4 * 2;
      const int from = (i * kPiece / 8 + j / 2) * 4 + 2 * half;
      *in_piece(piece, row + 8 * half, column) = float2{sum[from], sum[from + 1]};
    }
    publish_shared();
    named_barrier(1 + group, kGroup);
    if (thread == 0)
      put_box(out, tile.column + i * kPiece, tile.row + 64 * group, tile.expert, piece);
  }
}

}  // namespace mtrain::kernels::cuda
