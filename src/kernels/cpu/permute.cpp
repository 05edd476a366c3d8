// Owns the CPU loops of the order by expert. Called by kernels/permute.cpp.
#include <cstring>
#include <numeric>

#include "loops.hpp"
#include "ops.hpp"

namespace mtrain::kernels::cpu {
namespace {

/// One token: the sum of its rows.
template <class T>
MT_SIMD void sum_token(const T* x_NH, const int32_t* rows, int64_t choices,
                       int64_t hidden, T* y) {
  constexpr int64_t kWidth = 64;
  for (int64_t first = 0; first < hidden; first += kWidth) {
    const int64_t count = std::min(kWidth, hidden - first);
    float sum[kWidth] = {};
    for (int64_t k = 0; k < choices; ++k) {
      if (rows[k] < 0) continue;
      const T* x = x_NH + rows[k] * hidden + first;
#pragma omp simd
      for (int64_t h = 0; h < count; ++h) sum[h] += load(x[h]);
    }
#pragma omp simd
    for (int64_t h = 0; h < count; ++h) y[first + h] = rounded<T>(sum[h]);
  }
}

}  // namespace

void permutation(const Tensor& experts, Permutation& out) {
  const int64_t choices = experts.size(1), count = out.counts_E.numel();
  const int32_t* expert = data<int32_t>(experts);
  int32_t *counts = data<int32_t>(out.counts_E), *ends = data<int32_t>(out.ends_E);
  std::fill(counts, counts + count, 0);
  for (int64_t i = 0; i < experts.numel(); ++i)
    if (expert[i] >= 0) ++counts[expert[i]];
  std::partial_sum(counts, counts + count, ends);
  std::vector<int32_t> next(static_cast<size_t>(count), 0);
  std::copy(ends, ends + count - 1, next.begin() + 1);
  for (int64_t i = 0; i < experts.numel(); ++i) {
    if (expert[i] < 0) {
      data<int32_t>(out.rows_TK)[i] = -1;
      continue;
    }
    const int32_t row = next[static_cast<size_t>(expert[i])]++;
    data<int32_t>(out.rows_TK)[i] = row;
    data<int32_t>(out.pairs_N)[row] = static_cast<int32_t>(i);
    data<int32_t>(out.tokens_N)[row] = static_cast<int32_t>(i / choices);
  }
}

void gather_rows(const Tensor& x, const Tensor& index, Tensor& y) {
  const size_t row_bytes = static_cast<size_t>(x.size(1)) * x.element_size();
  const auto* from = static_cast<const char*>(x.const_data_ptr());
  auto* to = static_cast<char*>(y.mutable_data_ptr());
  const int32_t* row = data<int32_t>(index);
  over_rows(y.size(0), x.size(1), [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n)
      std::memcpy(to + static_cast<size_t>(n) * row_bytes,
                  from + static_cast<size_t>(row[n]) * row_bytes, row_bytes);
  });
}

void sum_rows(const Tensor& x, const Tensor& rows, Tensor& y) {
  const int64_t choices = rows.size(1), hidden = x.size(1);
  with_type(x.scalar_type(), [&](auto type) {
    using T = decltype(type);
    over_rows(y.size(0), choices * hidden, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t)
        sum_token<T>(data<T>(x), data<int32_t>(rows) + t * choices, choices, hidden,
                     data<T>(y) + t * hidden);
    });
  });
}

}  // namespace mtrain::kernels::cpu
