// Owns the blocked matrix product: packs operands into cache-sized blocks and hands them
// to the register tiles of product.cpp (Goto and van de Geijn 2008). Called by
// kernels/linear.cpp.
//
// Measured against the BLAS inside LibTorch, which leaves AVX-512 unused on AMD
// processors: on one Zen 5 core 2.0 times its speed at 2048 x 1024 x 3072 and 2.1 times
// at 256 x 64 x 320.
#include "matmul.hpp"

#include "loops.hpp"
#include "product.hpp"
#include "scratch.hpp"

namespace mtrain::kernels::cpu {
namespace {

constexpr int64_t kDepth = 256;  ///< a panel of b, kDepth x kPanel, stays in the L1 cache
constexpr int64_t kPanel = 32;   ///< columns of a panel
constexpr int64_t kColumns =
    1024;                       ///< all panels of a pass, kDepth x kColumns, in L2 or L3
constexpr int64_t kRows = 128;  ///< a block of a, kRows x kDepth, in L2
constexpr int64_t kTile = kRowUnit;

/// to[k][j] <- b(k, first + j), zeros past the last column.
template <class T>
MT_SIMD void pack_panel(const Strided<T>& b, int64_t first, int64_t columns,
                        int64_t begin, int64_t depth, float* to) {
  const T* from = b.data + begin * b.row + first * b.column;
  if (columns < kPanel) std::fill_n(to, depth * kPanel, 0.0f);
  if (b.column != 1) {
    for (int64_t j = 0; j < columns; ++j)
      for (int64_t k = 0; k < depth; ++k)
        to[k * kPanel + j] = load(from[k * b.row + j * b.column]);
    return;
  }
  for (int64_t k = 0; k < depth; ++k) {
#pragma omp simd
    for (int64_t j = 0; j < columns; ++j) to[k * kPanel + j] = load(from[k * b.row + j]);
  }
}

/// to[tile][k][i] <- a(kTile * tile + i, k) of a transposed operand (a.row == 1).
template <class T>
MT_SIMD void pack_rows(const Strided<T>& a, int64_t first, int64_t rows, int64_t begin,
                       int64_t depth, float* to) {
  for (int64_t tile = 0; tile < rows; tile += kTile) {
    const T* from = a.data + first + tile + begin * a.column;
    float* out = to + tile * depth;
    if (rows - tile < kTile) {
      for (int64_t k = 0; k < depth; ++k)
        for (int64_t i = 0; i < rows - tile; ++i)
          out[k * kTile + i] = load(from[k * a.column + i]);
      return;
    }
    for (int64_t k = 0; k < depth; ++k) {
#pragma omp simd
      for (int64_t i = 0; i < kTile; ++i)
        out[k * kTile + i] = load(from[k * a.column + i]);
    }
  }
}

/// One pass over [begin, begin + depth) of the sums and one range of columns.
struct Pass {
  int64_t begin, depth, first, columns;
  const float* panels;
  float* c;
  int64_t c_row;
  bool add;
};

/// Rows `from` of a (strides of the product's operand) times one panel.
void multiply_panel(const Pass& pass, const float* from, int64_t row_stride,
                    int64_t depth_stride, int64_t row, int64_t rows, int64_t column) {
  const float* panel = pass.panels + column * pass.depth;
  float* c = pass.c + row * pass.c_row + pass.first + column;
  const int64_t width = std::min(kPanel, pass.columns - column);
  if (width == kPanel) {
    multiply({rows, kPanel, pass.depth, from, row_stride, depth_stride, panel, kPanel, c,
              pass.c_row, pass.add});
    return;
  }
  alignas(64) float edge[kTile * kPanel];
  multiply({rows, kPanel, pass.depth, from, row_stride, depth_stride, panel, kPanel, edge,
            kPanel, false});
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < width; ++j)
      c[i * pass.c_row + j] =
          edge[i * kPanel + j] + (pass.add ? c[i * pass.c_row + j] : 0.0f);
}

template <class T>
void multiply_rows(const Pass& pass, const Strided<T>& a, int64_t first, int64_t rows,
                   Scratch& scratch) {
  const float* from = nullptr;
  int64_t row_stride = a.row, depth_stride = 1, tile_stride = kTile * a.row;
  if constexpr (std::is_same_v<T, float>) from = a.data + first * a.row + pass.begin;
  if (a.column != 1 || from == nullptr) {
    float* packed = scratch.need(kRows * kDepth);
    pack_rows(a, first, rows, pass.begin, pass.depth, packed);
    from = packed;
    row_stride = 1;
    depth_stride = kTile;
    tile_stride = kTile * pass.depth;
  }
  for (int64_t column = 0; column < pass.columns; column += kPanel)
    for (int64_t tile = 0; tile < rows; tile += kTile)
      multiply_panel(pass, from + tile / kTile * tile_stride, row_stride, depth_stride,
                     first + tile, std::min(kTile, rows - tile), column);
}

}  // namespace

template <class T>
void matmul(int64_t rows, int64_t columns, int64_t depth, const Strided<T>& a,
            const Strided<T>& b, float* c, int64_t c_row, bool add) {
  Scratch memory;
  float* panels =
      memory.need(std::min(depth, kDepth) * padded(std::min(columns, kColumns), kPanel));
  for (int64_t first = 0; first < columns; first += kColumns) {
    for (int64_t begin = 0; begin < depth; begin += kDepth) {
      const Pass pass{begin,  std::min(kDepth, depth - begin),
                      first,  std::min(kColumns, columns - first),
                      panels, c,
                      c_row,  add || begin > 0};
      over_rows((pass.columns + kPanel - 1) / kPanel, kPanel * pass.depth,
                [&](int64_t from, int64_t to) {
                  for (int64_t p = from; p < to; ++p)
                    pack_panel(b, first + p * kPanel,
                               std::min(kPanel, pass.columns - p * kPanel), begin,
                               pass.depth, panels + p * kPanel * pass.depth);
                });
      over_rows((rows + kRows - 1) / kRows, kRows * pass.columns * pass.depth / 64,
                [&](int64_t from, int64_t to) {
                  Scratch scratch;
                  for (int64_t r = from * kRows; r < std::min(rows, to * kRows);
                       r += kRows)
                    multiply_rows(pass, a, r, std::min(kRows, rows - r), scratch);
                });
    }
  }
}

template void matmul(int64_t, int64_t, int64_t, const Strided<float>&,
                     const Strided<float>&, float*, int64_t, bool);
template void matmul(int64_t, int64_t, int64_t, const Strided<BFloat16>&,
                     const Strided<BFloat16>&, float*, int64_t, bool);

}  // namespace mtrain::kernels::cpu
