// How the CPU operators spread rows over threads and choose the element type.
#pragma once

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <vector>

#include "simd.hpp"

namespace mtrain::kernels::cpu {

/// Work below this many elements is not worth a second thread.
constexpr int64_t kGrain = 32768;

/// Calls f(begin, end) over parts of [0, rows); rows must be independent of each other.
template <class F>
void over_rows(int64_t rows, int64_t elements_per_row, const F& f) {
  const int64_t grain =
      std::max<int64_t>(1, kGrain / std::max<int64_t>(1, elements_per_row));
  at::parallel_for(0, rows, grain, f);
}

/// Sums over rows are formed per block of this many, then over blocks in order, so that
/// they do not depend on the number of threads.
constexpr int64_t kRowBlock = 256;

inline int64_t row_blocks(int64_t rows) {
  return (rows + kRowBlock - 1) / kRowBlock;
}

/// One fp32 vector of partial sums per block of rows.
class BlockSums {
 public:
  BlockSums(int64_t rows, int64_t width)
      : width_(width), blocks_(row_blocks(rows)), sums_(blocks_ * width) {}
  float* of(int64_t block) { return sums_.data() + block * width_; }
  /// total[i] += the sum over blocks of element first + i, for i < count.
  void add_to(float* total, int64_t first, int64_t count) {
    for (int64_t block = 0; block < blocks_; ++block)
      for (int64_t i = 0; i < count; ++i) total[i] += of(block)[first + i];
  }

 private:
  int64_t width_, blocks_;
  std::vector<float> sums_;
};

/// Calls f(block, begin, end) for each block of kRowBlock rows.
template <class F>
void over_row_blocks(int64_t rows, const F& f) {
  at::parallel_for(0, row_blocks(rows), 1, [&](int64_t first, int64_t last) {
    for (int64_t block = first; block < last; ++block)
      f(block, block * kRowBlock, std::min(rows, (block + 1) * kRowBlock));
  });
}

/// Calls f with a value of the element type of `dtype`: float or BFloat16.
template <class F>
void with_type(at::ScalarType dtype, const F& f) {
  if (dtype == at::kFloat)
    f(float{});
  else
    f(BFloat16{});
}

template <class T>
T* data(const at::Tensor& x) {
  return x.mutable_data_ptr<T>();
}

}  // namespace mtrain::kernels::cpu
