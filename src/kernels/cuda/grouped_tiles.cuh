// Which tiles of a grouped product a block computes. Used by cuda/grouped_product.cu.
#pragma once

#include "hopper.cuh"
#include "tools.cuh"

namespace mtrain::kernels::cuda {

constexpr int kRows = 128, kColumns = 256, kDepth = 64;  ///< of a tile
constexpr int kPair = 2;                                 ///< blocks of a cluster

enum class Kind { kForward, kBackwardInput, kBackwardWeight };

/// Whether the sum is over the rows of an expert; its result is then fp32.
template <Kind kind>
constexpr bool kSumsRows = kind == Kind::kBackwardWeight;

/// Sizes of the product out = a * b; `rows` and `depth` where experts do not differ.
struct Sizes {
  const int32_t* ends;
  int experts, rows, columns, depth;
};

/// One block's tile. The other of its pair lies in the same columns or in the same rows.
struct Tile {
  int expert, row, row_end, column, depth_begin, depth_end;
  bool same_columns;
};

__device__ __forceinline__ int begin_of(const int32_t* ends, int e) {
  return e == 0 ? 0 : ends[e - 1];
}

/// The pairs of tiles of one expert: those in the same columns, which L2 serves best,
/// and, where the last rows fit into one tile, pairs in these rows.
struct Pairs {
  int down, across, last;

  __device__ Pairs(int rows, int columns) {
    const int over = rows % (kPair * kRows);
    down = rows / (kPair * kRows) + (over > kRows);
    across = (columns + kColumns - 1) / kColumns;
    last = over == 0 || over > kRows ? 0 : (across + kPair - 1) / kPair;
  }
  __device__ int count() const { return down * across + last; }
};

/// Fills tile_ends, by one warp.
inline __device__ void count_tiles(const Sizes& sizes, int* tile_ends) {
  const int lane = threadIdx.x % kWarp;
  int before = 0;
  for (int first = 0; first < sizes.experts; first += kWarp) {
    const int e = first + lane;
    int own = 0;
    if (e < sizes.experts)
      own = Pairs(sizes.ends[e] - begin_of(sizes.ends, e), sizes.columns).count();
    const int sum = before + sum_up_to_lane(own);
    if (e < sizes.experts) tile_ends[e] = sum;
    before = __shfl_sync(0xffffffffu, sum, kWarp - 1);
  }
}

/// Walks over the tiles of this block.
template <Kind kind>
class Tiles {
 public:
  __device__ Tiles(const Sizes& sizes, const int* tile_ends)
      : sizes_(sizes),
        tile_ends_(tile_ends),
        index_(static_cast<int>(blockIdx.x) / kPair) {}

  __device__ bool next(Tile& tile) {
    int pair = 0;
    if (!find(pair)) return false;
    const int begin = begin_of(sizes_.ends, expert_), end = sizes_.ends[expert_];
    tile.expert = expert_;
    if constexpr (kSumsRows<kind>) {
      place(pair, Pairs(sizes_.rows, sizes_.columns), 0, tile);
      tile.row_end = sizes_.rows;
      tile.depth_begin = begin;
      tile.depth_end = end;
    } else {
      place(pair, Pairs(end - begin, sizes_.columns), begin, tile);
      tile.row_end = end;
      tile.depth_begin = 0;
      tile.depth_end = sizes_.depth;
    }
    index_ += static_cast<int>(gridDim.x) / kPair;
    return true;
  }

 private:
  /// Of the pair at index_: its expert, and which of the expert's it is.
  __device__ bool find(int& pair) {
    if constexpr (kSumsRows<kind>) {
      const int each = Pairs(sizes_.rows, sizes_.columns).count();
      expert_ = index_ / each;
      pair = index_ % each;
      return expert_ < sizes_.experts;
    }
    if (index_ >= tile_ends_[sizes_.experts - 1]) return false;
    while (index_ >= tile_ends_[expert_]) ++expert_;
    pair = index_ - begin_of(tile_ends_, expert_);
    return true;
  }

  static __device__ void place(int pair, const Pairs& pairs, int begin, Tile& tile) {
    const int rank = hopper::cluster_rank(), last = pair - pairs.down * pairs.across;
    tile.same_columns = last < 0;
    if (last < 0) {
      tile.row = begin + (pair % pairs.down * kPair + rank) * kRows;
      tile.column = pair / pairs.down * kColumns;
    } else {
      tile.row = begin + pairs.down * kPair * kRows;
      tile.column = (last * kPair + rank) * kColumns;
    }
  }

  const Sizes& sizes_;
  const int* tile_ends_;
  int index_, expert_ = 0;
};

}  // namespace mtrain::kernels::cuda
