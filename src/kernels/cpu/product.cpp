// Owns the register-tiled small matrix product. Called by the loops of
// attention and by matmul.cpp.
#include "product.hpp"

#include "simd.hpp"

namespace mtrain::kernels::cpu {
namespace {

/// Vectors of this many bytes, at any address.
template <int kBytes>
struct Vector {
  typedef float Type __attribute__((vector_size(kBytes), aligned(4), may_alias));
  static constexpr int64_t kLanes = kBytes / sizeof(float);
};

/// One tile of kRows x kVectors vectors, held in registers over the whole depth.
template <int kBytes, int kRows, int kVectors>
MT_INLINE void tile(const Product& p, int64_t row, int64_t column) {
  using V = typename Vector<kBytes>::Type;
  constexpr int64_t kLanes = Vector<kBytes>::kLanes;
  V sum[kRows][kVectors] = {};
  const float* a = p.a + row * p.a_row;
  const float* b = p.b + column;
  for (int64_t k = 0; k < p.depth; ++k, a += p.a_depth, b += p.b_row) {
    V right[kVectors];
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j)
      right[j] = *reinterpret_cast<const V*>(b + j * kLanes);
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      const float left = a[i * p.a_row];
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; ++j) sum[i][j] += left * right[j];
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) {
      V* c = reinterpret_cast<V*>(p.c + (row + i) * p.c_row + column + j * kLanes);
      *c = p.add ? *c + sum[i][j] : sum[i][j];
    }
  }
}

template <int kBytes, int kRows, int kVectors>
MT_INLINE void columns_of_tiles(const Product& p, int64_t& column) {
  constexpr int64_t kWidth = kVectors * Vector<kBytes>::kLanes;
  for (; column + kWidth <= p.columns; column += kWidth) {
    int64_t row = 0;
    for (; row + kRows <= p.rows; row += kRows)
      tile<kBytes, kRows, kVectors>(p, row, column);
    if (kRows > 4 && p.rows - row >= 4) {
      tile<kBytes, 4, kVectors>(p, row, column);
      row += 4;
    }
    if (p.rows - row >= 2) {
      tile<kBytes, 2, kVectors>(p, row, column);
      row += 2;
    }
    if (row < p.rows) tile<kBytes, 1, kVectors>(p, row, column);
  }
}

__attribute__((target("arch=x86-64-v4"))) void multiply_avx512(const Product& p) {
  int64_t column = 0;
  columns_of_tiles<64, 8, 2>(p, column);
  columns_of_tiles<64, 8, 1>(p, column);
}

__attribute__((target("arch=x86-64-v3"))) void multiply_avx2(const Product& p) {
  int64_t column = 0;
  columns_of_tiles<32, 4, 2>(p, column);
}

void multiply_plain(const Product& p) {
  int64_t column = 0;
  columns_of_tiles<16, 4, 2>(p, column);
}

using Multiply = void (*)(const Product&);

Multiply choose() {
  if (__builtin_cpu_supports("x86-64-v4")) return multiply_avx512;
  if (__builtin_cpu_supports("x86-64-v3")) return multiply_avx2;
  return multiply_plain;
}

}  // namespace

void multiply(const Product& product) {
  static const Multiply chosen = choose();
  chosen(product);
}

}  // namespace mtrain::kernels::cpu
