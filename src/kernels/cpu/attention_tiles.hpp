// The fp32 scratch tiles of attention: what is copied in, how it is laid out, what is
// copied out. Used by the forward and backward loops.
//
// All query heads of a group share one key head, so a document's queries for that key
// head are stacked: row r is query head r % G of the group at position r / G. Keys go in
// blocks. Legend: L positions of a document, G query heads per key head, D head dim
// padded to kColumnUnit, B = kKeyBlock.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "loops.hpp"
#include "mtrain/kernels/attention.hpp"
#include "product.hpp"
#include "scratch.hpp"
#include "simd.hpp"

namespace mtrain::kernels::cpu {

constexpr int64_t kRowTile = 64;
constexpr int64_t kKeyBlock = 64;

/// One document's part of a [T, heads, D] tensor for one key head: `group` heads from
/// `first`.
template <class T>
struct Slab {
  T* first;        ///< position 0, head 0 of the group
  int64_t stride;  ///< elements from one position to the next
  int64_t group;
  int64_t dim;
  MT_INLINE T* row(int64_t r) const {
    return first + r / group * stride + r % group * dim;
  }
};

/// The unit of work: one document under one key head.
struct KeyHead {
  int64_t head, heads;    ///< which of how many key heads
  int64_t begin, length;  ///< the document's tokens
};

template <class T>
Slab<T> slab(const at::Tensor& x, const KeyHead& at) {
  const int64_t group = x.size(1) / at.heads, dim = x.size(2);
  T* base = data<std::remove_const_t<T>>(x);
  return {base + at.begin * x.stride(0) + at.head * group * dim, x.stride(0), group, dim};
}

/// Calls f(head) for each document and key head, over threads; Buffers are one per
/// thread.
template <class Buffers, class F>
void over_key_heads(const Documents& documents, const at::Tensor& q_TND,
                    int64_t key_heads, const F& f) {
  const std::vector<int64_t>& offsets = documents.offsets;
  const int64_t tasks = (static_cast<int64_t>(offsets.size()) - 1) * key_heads;
  const int64_t work = q_TND.numel() * std::max<int64_t>(1, documents.longest());
  const int64_t grain =
      std::max<int64_t>(1, tasks * 64 * kGrain / std::max<int64_t>(1, work));
  at::parallel_for(0, tasks, grain, [&](int64_t first, int64_t last) {
    Buffers buffers;
    for (int64_t task = first; task < last; ++task) {
      const int64_t d = task / key_heads;
      f(KeyHead{task % key_heads, key_heads, offsets[d], offsets[d + 1] - offsets[d]},
        buffers);
    }
  });
}

/// to[i][0..D) <- rows [begin, begin + count) times `factor`, zeros to the padded sizes.
template <class T>
MT_INLINE void copy_rows(const Slab<const T>& from, int64_t begin, int64_t count,
                         float factor, float* to, int64_t padded_rows,
                         int64_t padded_dim) {
  for (int64_t i = 0; i < padded_rows; ++i) {
    float* out = to + i * padded_dim;
    int64_t d = 0;
    if (i < count) {
      const T* in = from.row(begin + i);
#pragma omp simd
      for (int64_t e = 0; e < from.dim; ++e) out[e] = load(in[e]) * factor;
      d = from.dim;
    }
    for (; d < padded_dim; ++d) out[d] = 0;
  }
}

/// from[i][0..dim) rounded to T into rows [begin, begin + count).
template <class T>
MT_INLINE void store_rows(const float* from, int64_t padded_dim, int64_t begin,
                          int64_t count, const Slab<T>& to) {
  for (int64_t i = 0; i < count; ++i) {
    T* out = to.row(begin + i);
    const float* in = from + i * padded_dim;
#pragma omp simd
    for (int64_t d = 0; d < to.dim; ++d) out[d] = rounded<T>(in[d]);
  }
}

/// [rows of kKeyBlock][D] -> [D][kKeyBlock] for each block of keys; `rows` is padded.
MT_INLINE void transpose_blocks(const float* from, int64_t rows, int64_t dim, float* to) {
  constexpr int64_t kStrip = 16;
  for (int64_t begin = 0; begin < rows; begin += kStrip) {
    float* out = to + begin / kKeyBlock * kKeyBlock * dim + begin % kKeyBlock;
    const float* in = from + begin * dim;
    for (int64_t d = 0; d < dim; ++d) {
#pragma omp simd
      for (int64_t i = 0; i < kStrip; ++i) out[d * kKeyBlock + i] = in[i * dim + d];
    }
  }
}

/// The keys that a tile of stacked rows meets in one block.
struct KeyBlock {
  int64_t begin;    ///< first position
  int64_t columns;  ///< padded to kColumnUnit, at most kKeyBlock
};

/// Number of columns of the block that row r may attend to (causal); can be <= 0.
MT_INLINE int64_t allowed(const KeyBlock& block, int64_t position) {
  return std::min(block.columns, position + 1 - block.begin);
}

}  // namespace mtrain::kernels::cpu
