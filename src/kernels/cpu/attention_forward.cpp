// Owns the CPU loops of attention's forward pass. Called by kernels/attention.cpp.
#include <cmath>

#include "attention_tiles.hpp"
#include "loops.hpp"
#include "ops.hpp"

namespace mtrain::kernels::cpu {
namespace {

/// Scratch of one thread, and the running softmax of the rows of one tile.
struct Buffers {
  Scratch keys, keys_t, values, queries, scores, sums;
  float max[kRowTile];
  float sum[kRowTile];
};

/// Turns scores [rows, B] into exponentials against the new running maximum, and rescales
/// what was summed before (Dao, FlashAttention-2, algorithm 1). A maximum of -inf is not
/// subtracted.
MT_SIMD void soften(float* scores, const KeyBlock& block, int64_t row_begin, int64_t rows,
                    int64_t group, int64_t dim, Buffers& buffers, float* sums) {
  for (int64_t i = 0; i < rows; ++i) {
    float* s = scores + i * kKeyBlock;
    const int64_t live = allowed(block, (row_begin + i) / group);
    for (int64_t j = live < 0 ? 0 : live; j < block.columns; ++j) s[j] = -kInfinity;
    const float before = buffers.max[i];
    alignas(64) float lane[kLanes];
    for (int64_t l = 0; l < kLanes; ++l) lane[l] = before;
    for (int64_t j = 0; j < block.columns; j += kLanes) {
#pragma omp simd
      for (int64_t l = 0; l < kLanes; ++l)
        lane[l] = s[j + l] > lane[l] ? s[j + l] : lane[l];
    }
    const float max = max_lanes(lane);
    const float shift = max == -kInfinity ? 0.0f : max;
    for (int64_t l = 0; l < kLanes; ++l) lane[l] = 0;
    for (int64_t j = 0; j < block.columns; j += kLanes) {
#pragma omp simd
      for (int64_t l = 0; l < kLanes; ++l) {
        s[j + l] = exp_fast(s[j + l] - shift);
        lane[l] += s[j + l];
      }
    }
    if (max != before && block.begin > 0) {
      const float fade = exp_fast(before - shift);
      buffers.sum[i] *= fade;
#pragma omp simd
      for (int64_t d = 0; d < dim; ++d) sums[i * dim + d] *= fade;
    }
    buffers.sum[i] += sum_lanes(lane);
    buffers.max[i] = max;
  }
}

/// One document and one key head of a tensor triple.
template <class T>
struct Task {
  Slab<const T> q, k, v;
  Slab<T> o;
  float* lse;  ///< of the group's first head at position 0
  int64_t lse_stride;
  int64_t length;
  float scale;
};

template <class T>
MT_SIMD void load_keys(const Task<T>& task, int64_t rows, int64_t dim, float* keys,
                       float* keys_t, float* values) {
  copy_rows(task.k, 0, task.length, 1.0f, keys, rows, dim);
  copy_rows(task.v, 0, task.length, 1.0f, values, rows, dim);
  transpose_blocks(keys, rows, dim, keys_t);
}

template <class T>
MT_SIMD void load_queries(const Task<T>& task, int64_t begin, int64_t count, int64_t rows,
                          int64_t dim, float* queries) {
  copy_rows(task.q, begin, count, task.scale, queries, rows, dim);
}

template <class T>
MT_SIMD void store(const Task<T>& task, int64_t begin, int64_t count, int64_t dim,
                   const Buffers& buffers, float* sums) {
  for (int64_t i = 0; i < count; ++i) {
    const float inverse = 1.0f / buffers.sum[i];
#pragma omp simd
    for (int64_t d = 0; d < dim; ++d) sums[i * dim + d] *= inverse;
  }
  store_rows(sums, dim, begin, count, task.o);
}

template <class T>
void run_tile(const Task<T>& task, int64_t begin, int64_t dim, const float* keys_t,
              const float* values, Buffers& buffers) {
  const int64_t group = task.q.group;
  const int64_t count = std::min(kRowTile, task.length * group - begin);
  const int64_t rows = padded(count, kRowUnit);
  float* queries = buffers.queries.need(kRowTile * dim);
  float* scores = buffers.scores.need(kRowTile * kKeyBlock);
  float* sums = buffers.sums.need(kRowTile * dim);
  load_queries(task, begin, count, rows, dim, queries);
  std::fill_n(buffers.max, rows, -kInfinity);
  std::fill_n(buffers.sum, rows, 0.0f);
  const int64_t last_position = (begin + count - 1) / group;
  for (int64_t key = 0; key <= last_position; key += kKeyBlock) {
    const KeyBlock block{
        key, std::min(kKeyBlock, padded(last_position + 1 - key, kColumnUnit))};
    multiply({rows, block.columns, dim, queries, dim, 1, keys_t + key * dim, kKeyBlock,
              scores, kKeyBlock, false});
    soften(scores, block, begin, rows, group, dim, buffers, sums);
    multiply({rows, dim, block.columns, scores, kKeyBlock, 1, values + key * dim, dim,
              sums, dim, key > 0});
  }
  store(task, begin, count, dim, buffers, sums);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t r = begin + i;
    task.lse[r % group * task.lse_stride + r / group] =
        buffers.max[i] + std::log(buffers.sum[i]);
  }
}

template <class T>
void run(const Task<T>& task, Buffers& buffers) {
  const int64_t rows = padded(task.length, kColumnUnit);
  const int64_t dim = padded(task.q.dim, kColumnUnit);
  float* keys = buffers.keys.need(rows * dim);
  float* keys_t = buffers.keys_t.need(padded(rows, kKeyBlock) * dim);
  float* values = buffers.values.need(rows * dim);
  load_keys(task, rows, dim, keys, keys_t, values);
  for (int64_t begin = 0; begin < task.length * task.q.group; begin += kRowTile)
    run_tile(task, begin, dim, keys_t, values, buffers);
}

}  // namespace

void attention_forward(const Tensor& q, const Tensor& k, const Tensor& v,
                       const Documents& documents, const AttentionOptions& options,
                       Attention& out) {
  with_type(q.scalar_type(), [&](auto type) {
    using T = decltype(type);
    over_key_heads<Buffers>(
        documents, q, k.size(1), [&](const KeyHead& at, Buffers& buffers) {
          const auto o = slab<T>(out.o_TND, at);
          float* lse = data<float>(out.lse_NT) + at.head * o.group * q.size(0) + at.begin;
          const Task<T> task{slab<const T>(q, at),
                             slab<const T>(k, at),
                             slab<const T>(v, at),
                             o,
                             lse,
                             q.size(0),
                             at.length,
                             static_cast<float>(options.scale)};
          run(task, buffers);
        });
  });
}

}  // namespace mtrain::kernels::cpu
