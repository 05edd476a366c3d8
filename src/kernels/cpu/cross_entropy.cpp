// Owns the CPU loops of cross-entropy. Called by kernels/cross_entropy.cpp.
#include "loops.hpp"
#include "ops.hpp"

namespace mtrain::kernels::cpu {
namespace {

/// Columns looked at together: the second look, for the exponentials, finds them in
/// cache.
constexpr int64_t kColumns = 2048;

struct Running {
  float max = -kInfinity;
  float sum = 0;
};

template <class T>
MT_INLINE float max_of(const T* x, int64_t count, float start) {
  alignas(64) float lane[kWide];
  for (int64_t l = 0; l < kWide; ++l) lane[l] = start;
  int64_t j = 0;
  for (; j + kWide <= count; j += kWide) {
#pragma omp simd
    for (int64_t l = 0; l < kWide; ++l) {
      const float value = load(x[j + l]);
      lane[l] = value > lane[l] ? value : lane[l];
    }
  }
  for (; j < count; ++j) lane[0] = load(x[j]) > lane[0] ? load(x[j]) : lane[0];
  return max_wide(lane);
}

template <class T>
MT_INLINE float sum_of_exp(const T* x, int64_t count, float shift) {
  alignas(64) float lane[kWide] = {};
  int64_t j = 0;
  for (; j + kWide <= count; j += kWide) {
#pragma omp simd
    for (int64_t l = 0; l < kWide; ++l) lane[l] += exp_fast(load(x[j + l]) - shift);
  }
  for (; j < count; ++j) lane[0] += exp_fast(load(x[j]) - shift);
  return sum_wide(lane);
}

/// Online softmax (Milakov and Gimelshein 2018, algorithm 3), by blocks of columns. A
/// maximum of -inf is not subtracted: -inf - (-inf) would be NaN where the probability is
/// 0.
template <class T>
MT_INLINE void add_columns(const T* x, int64_t count, Running& running) {
  const float max = max_of(x, count, running.max);
  const float shift = max == -kInfinity ? 0.0f : max;
  const float sum = sum_of_exp(x, count, shift);
  running.sum = running.sum * exp_fast(running.max - shift) + sum;
  running.max = max;
}

/// The target's column where the slice holds it, else -1.
MT_INLINE int64_t held_column(int64_t target, VocabSlice slice) {
  const int64_t local = target - slice.begin;
  return target >= 0 && local >= 0 && local < slice.valid ? local : -1;
}

template <class T>
MT_INLINE Running row_statistics(const T* row, int64_t valid) {
  Running running;
  for (int64_t j = 0; j < valid; j += kColumns)
    add_columns(row + j, valid - j < kColumns ? valid - j : kColumns, running);
  return running;
}

template <class T>
MT_INLINE void row_backward(T* row, int64_t columns, VocabSlice slice, int64_t target,
                            float shift, float w) {
  const int64_t local = held_column(target, slice);
  const float at_target = local >= 0 ? load(row[local]) : 0.0f;
  const int64_t live = w == 0.0f ? 0 : slice.valid;
#pragma omp simd
  for (int64_t j = 0; j < live; ++j)
    row[j] = rounded<T>(w * exp_fast(load(row[j]) - shift));
  for (int64_t j = live; j < columns; ++j) row[j] = rounded<T>(0.0f);
  if (local >= 0 && live > 0)
    row[local] = rounded<T>(w * (exp_fast(at_target - shift) - 1.0f));
}

template <class T>
MT_SIMD void statistics_rows(int64_t begin, int64_t end, int64_t columns, const T* logits,
                             const int64_t* targets, VocabSlice slice, float* max,
                             float* sum, float* target) {
  for (int64_t t = begin; t < end; ++t) {
    const T* row = logits + t * columns;
    const Running running = row_statistics(row, slice.valid);
    max[t] = running.max;
    sum[t] = running.sum;
    const int64_t local = held_column(targets[t], slice);
    target[t] = local >= 0 ? load(row[local]) : 0.0f;
  }
}

template <class T>
MT_SIMD void backward_rows(int64_t begin, int64_t end, int64_t columns, T* logits,
                           const float* lse, const int64_t* targets, const float* weight,
                           VocabSlice slice) {
  for (int64_t t = begin; t < end; ++t)
    row_backward(logits + t * columns, columns, slice, targets[t], lse[t], weight[t]);
}

template <class T>
MT_SIMD void loss_rows(int64_t begin, int64_t end, int64_t columns, T* logits,
                       const int64_t* targets, const float* weight, VocabSlice slice,
                       float* loss) {
  for (int64_t t = begin; t < end; ++t) {
    T* row = logits + t * columns;
    const Running running = row_statistics(row, slice.valid);
    const float lse = running.max + __builtin_logf(running.sum);
    const int64_t local = held_column(targets[t], slice);
    loss[t] = targets[t] < 0 ? 0.0f : lse - (local >= 0 ? load(row[local]) : 0.0f);
    row_backward(row, columns, slice, targets[t], lse, weight[t]);
  }
}

}  // namespace

void cross_entropy_statistics(const Tensor& logits, const Tensor& targets,
                              const VocabSlice& slice, RowStatistics& out) {
  const int64_t columns = logits.size(1);
  with_type(logits.scalar_type(), [&](auto type) {
    using T = decltype(type);
    over_rows(logits.size(0), columns, [&](int64_t begin, int64_t end) {
      statistics_rows<T>(begin, end, columns, data<T>(logits), data<int64_t>(targets),
                         slice, data<float>(out.max_T), data<float>(out.sum_T),
                         data<float>(out.target_T));
    });
  });
}

void cross_entropy_backward_(Tensor& logits, const Tensor& lse, const Tensor& targets,
                             const Tensor& weight, const VocabSlice& slice) {
  const int64_t columns = logits.size(1);
  with_type(logits.scalar_type(), [&](auto type) {
    using T = decltype(type);
    over_rows(logits.size(0), columns, [&](int64_t begin, int64_t end) {
      backward_rows<T>(begin, end, columns, data<T>(logits), data<float>(lse),
                       data<int64_t>(targets), data<float>(weight), slice);
    });
  });
}

void cross_entropy_(Tensor& logits, const Tensor& targets, const Tensor& weight,
                    const VocabSlice& slice, Tensor& loss) {
  const int64_t columns = logits.size(1);
  with_type(logits.scalar_type(), [&](auto type) {
    using T = decltype(type);
    over_rows(logits.size(0), columns, [&](int64_t begin, int64_t end) {
      loss_rows<T>(begin, end, columns, data<T>(logits), data<int64_t>(targets),
                   data<float>(weight), slice, data<float>(loss));
    });
  });
}

}  // namespace mtrain::kernels::cpu
