// Owns the CPU loops of attention's backward pass. Called by kernels/attention.cpp.
#include "attention_tiles.hpp"
#include "loops.hpp"
#include "ops.hpp"

namespace mtrain::kernels::cpu {
namespace {

/// Scratch of one thread.
struct Buffers {
  Scratch keys, keys_t, values_t, dkeys, dvalues;
  Scratch queries, douts, dqueries, scores, dscores;
  float lse[kRowTile];
  float delta[kRowTile];
};

template <class T>
struct Task {
  Slab<const T> q, k, v, o, dout;
  Slab<T> dq, dk, dv;
  const float* lse;  ///< of the group's first head at position 0
  int64_t lse_stride;
  int64_t length;
  float scale;
};

/// Sizes and operands that all tiles of one task share; keys_t and values_t are per
/// block.
struct Keys {
  int64_t rows, dim;
  const float *keys, *keys_t, *values_t;
  float *dkeys, *dvalues;
};

template <class T>
MT_SIMD void load_keys(const Task<T>& task, int64_t rows, int64_t dim, float* values,
                       float* keys, float* keys_t, float* values_t) {
  copy_rows(task.v, 0, task.length, 1.0f, values, rows, dim);
  transpose_blocks(values, rows, dim, values_t);
  copy_rows(task.k, 0, task.length, 1.0f, keys, rows, dim);
  transpose_blocks(keys, rows, dim, keys_t);
}

/// Queries, output gradients, log-sum-exps and delta = rowsum(do * o) of one tile.
template <class T>
MT_SIMD void load_tile(const Task<T>& task, int64_t begin, int64_t count, int64_t rows,
                       int64_t dim, float* queries, float* douts, float* lse,
                       float* delta) {
  copy_rows(task.q, begin, count, 1.0f, queries, rows, dim);
  copy_rows(task.dout, begin, count, 1.0f, douts, rows, dim);
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t r = begin + (i < count ? i : 0);
    lse[i] = task.lse[r % task.q.group * task.lse_stride + r / task.q.group];
    const float sum = dot(task.o.row(r), task.dout.row(r), task.o.dim);
    delta[i] = i < count ? sum : 0.0f;
  }
}

/// scores <- P = exp(scale s - lse) where causal, 0 elsewhere and in padding rows;
/// dscores <- dS = scale P (dP - delta).
MT_SIMD void score_gradients(float* scores, float* dscores, const KeyBlock& block,
                             int64_t row_begin, int64_t count, int64_t rows,
                             int64_t group, float scale, const float* lse,
                             const float* delta) {
  for (int64_t i = 0; i < rows; ++i) {
    float* s = scores + i * kKeyBlock;
    float* ds = dscores + i * kKeyBlock;
    int64_t live = i < count ? allowed(block, (row_begin + i) / group) : 0;
    live = live < 0 ? 0 : live;
    const float shift = lse[i], pull = delta[i];
    if (live > 0) {
#pragma omp simd
      for (int64_t j = 0; j < block.columns; ++j) {
        s[j] = exp_fast(s[j] * scale - shift);
        ds[j] = s[j] * (ds[j] - pull) * scale;
      }
    }
    for (int64_t j = live; j < block.columns; ++j) s[j] = ds[j] = 0.0f;
  }
}

template <class T>
MT_SIMD void store(const float* from, int64_t dim, int64_t begin, int64_t count,
                   const Slab<T>& to) {
  store_rows(from, dim, begin, count, to);
}

/// All key blocks of one tile of stacked rows (Dao, FlashAttention-2, algorithm 2, with
/// the loops over rows outside).
template <class T>
void run_tile(const Task<T>& task, int64_t begin, const Keys& k, Buffers& buffers) {
  const int64_t group = task.q.group, dim = k.dim;
  const int64_t count = std::min(kRowTile, task.length * group - begin);
  const int64_t rows = padded(count, kRowUnit);
  float* queries = buffers.queries.need(kRowTile * dim);
  float* douts = buffers.douts.need(kRowTile * dim);
  float* dqueries = buffers.dqueries.need(kRowTile * dim);
  float* scores = buffers.scores.need(kRowTile * kKeyBlock);
  float* dscores = buffers.dscores.need(kRowTile * kKeyBlock);
  load_tile(task, begin, count, rows, dim, queries, douts, buffers.lse, buffers.delta);
  const int64_t last_position = (begin + count - 1) / group;
  for (int64_t key = 0; key <= last_position; key += kKeyBlock) {
    const int64_t columns =
        std::min(kKeyBlock, padded(last_position + 1 - key, kColumnUnit));
    const int64_t at = key * dim;
    multiply({rows, columns, dim, queries, dim, 1, k.keys_t + at, kKeyBlock, scores,
              kKeyBlock, false});
    multiply({rows, columns, dim, douts, dim, 1, k.values_t + at, kKeyBlock, dscores,
              kKeyBlock, false});
    score_gradients(scores, dscores, {key, columns}, begin, count, rows, group,
                    task.scale, buffers.lse, buffers.delta);
    multiply({columns, dim, rows, scores, 1, kKeyBlock, douts, dim, k.dvalues + at, dim,
              true});
    multiply({columns, dim, rows, dscores, 1, kKeyBlock, queries, dim, k.dkeys + at, dim,
              true});
    multiply({rows, dim, columns, dscores, kKeyBlock, 1, k.keys + at, dim, dqueries, dim,
              key > 0});
  }
  store(dqueries, dim, begin, count, task.dq);
}

template <class T>
void run(const Task<T>& task, Buffers& buffers) {
  const int64_t rows = padded(task.length, kColumnUnit);
  const int64_t dim = padded(task.q.dim, kColumnUnit);
  const int64_t blocks = padded(rows, kKeyBlock);
  float* keys = buffers.keys.need(rows * dim);
  float* keys_t = buffers.keys_t.need(blocks * dim);
  float* values_t = buffers.values_t.need(blocks * dim);
  float* dkeys = buffers.dkeys.need(rows * dim);
  float* dvalues = buffers.dvalues.need(rows * dim);
  load_keys(task, rows, dim, dvalues, keys, keys_t, values_t);
  std::fill_n(dkeys, rows * dim, 0.0f);
  std::fill_n(dvalues, rows * dim, 0.0f);
  const Keys shared{rows, dim, keys, keys_t, values_t, dkeys, dvalues};
  for (int64_t begin = 0; begin < task.length * task.q.group; begin += kRowTile)
    run_tile(task, begin, shared, buffers);
  store(dkeys, dim, 0, task.length, task.dk);
  store(dvalues, dim, 0, task.length, task.dv);
}

}  // namespace

void attention_backward(const Tensor& dout, const Tensor& q, const Tensor& k,
                        const Tensor& v, const Attention& saved,
                        const Documents& documents, const AttentionOptions& options,
                        AttentionGrad& grad) {
  with_type(q.scalar_type(), [&](auto type) {
    using T = decltype(type);
    over_key_heads<Buffers>(
        documents, q, k.size(1), [&](const KeyHead& at, Buffers& buffers) {
          const auto queries = slab<const T>(q, at);
          const float* lse =
              data<float>(saved.lse_NT) + at.head * queries.group * q.size(0) + at.begin;
          const Task<T> task{queries,
                             slab<const T>(k, at),
                             slab<const T>(v, at),
                             slab<const T>(saved.o_TND, at),
                             slab<const T>(dout, at),
                             slab<T>(grad.dq_TND, at),
                             slab<T>(grad.dk_TKD, at),
                             slab<T>(grad.dv_TKD, at),
                             lse,
                             q.size(0),
                             at.length,
                             static_cast<float>(options.scale)};
          run(task, buffers);
        });
  });
}

}  // namespace mtrain::kernels::cpu
