// Owns the CPU loops of the embedding lookup. Called by kernels/embedding.cpp.
#include <cstring>

#include "loops.hpp"
#include "ops.hpp"

namespace mtrain::kernels::cpu {
namespace {

/// Adds columns [first, last) of each token's row, tokens in their order.
template <class T>
MT_SIMD void add_columns(int64_t tokens, int64_t hidden, int64_t first, int64_t last,
                         const T* dy_TH, const int64_t* ids, int64_t begin, int64_t rows,
                         float* grad_VH) {
  for (int64_t t = 0; t < tokens; ++t) {
    const int64_t local = ids[t] - begin;
    if (local < 0 || local >= rows) continue;
    const T* dy = dy_TH + t * hidden;
    float* grad = grad_VH + local * hidden;
#pragma omp simd
    for (int64_t h = first; h < last; ++h) grad[h] += load(dy[h]);
  }
}

}  // namespace

void embedding_forward(const Tensor& table, const Tensor& ids, int64_t begin,
                       Tensor& out) {
  const int64_t rows = table.size(0);
  const size_t row_bytes = table.size(1) * table.element_size();
  const auto* from = static_cast<const char*>(table.const_data_ptr());
  auto* to = static_cast<char*>(out.mutable_data_ptr());
  const int64_t* id = data<int64_t>(ids);
  over_rows(ids.size(0), table.size(1), [&](int64_t first, int64_t last) {
    for (int64_t t = first; t < last; ++t) {
      const int64_t local = id[t] - begin;
      if (local >= 0 && local < rows)
        std::memcpy(to + t * row_bytes, from + local * row_bytes, row_bytes);
      else
        std::memset(to + t * row_bytes, 0, row_bytes);
    }
  });
}

void embedding_backward(Tensor& grad, const Tensor& dy, const Tensor& ids,
                        int64_t begin) {
  const int64_t tokens = ids.size(0), hidden = grad.size(1);
  constexpr int64_t kColumnBlock = 64;  // whole cache lines, so threads do not share any
  const int64_t blocks = (hidden + kColumnBlock - 1) / kColumnBlock;
  with_type(dy.scalar_type(), [&](auto type) {
    using T = decltype(type);
    over_rows(blocks, kColumnBlock * tokens, [&](int64_t first, int64_t last) {
      add_columns<T>(tokens, hidden, first * kColumnBlock,
                     std::min(hidden, last * kColumnBlock), data<T>(dy),
                     data<int64_t>(ids), begin, grad.size(0), data<float>(grad));
    });
  });
}

}  // namespace mtrain::kernels::cpu
