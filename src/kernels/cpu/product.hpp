// Small matrix products on cached operands, the inner step of attention.
#pragma once

#include <cstdint>

namespace mtrain::kernels::cpu {

/// Columns of a product are a multiple of kColumnUnit; rows are fastest in multiples of
/// kRowUnit.
constexpr int64_t kRowUnit = 8;
constexpr int64_t kColumnUnit = 16;

constexpr int64_t padded(int64_t size, int64_t unit) {
  return (size + unit - 1) / unit * unit;
}

/// c[i * c_row + j] = (or +=, with `add`) sum over k of a[i * a_row + k * a_depth] *
/// b[k * b_row + j], for i < rows, j < columns, k < depth: a may be transposed, b may
/// not.
struct Product {
  int64_t rows, columns, depth;
  const float* a;
  int64_t a_row, a_depth;
  const float* b;
  int64_t b_row;
  float* c;
  int64_t c_row;
  bool add;
};

void multiply(const Product& product);

}  // namespace mtrain::kernels::cpu
