// Normal random numbers for initialisation, made where the weights are.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string_view>

namespace mtrain::kernels {

/// Rows and columns of a logical matrix that is numbered row by row: element (r, c) of
/// the box is number first + r * full_columns + c.
struct NormalBox {
  int64_t rows, columns, first, full_columns;
};

/// out [rows * columns], fp32 or bf16 <- stddev times the numbers of the standard normal
/// stream `name` (mtrain::normal_stream), rounded to fp32 before and after the product.
/// On a GPU a number may differ from the CPU's by one ulp of fp32: logarithm, sine and
/// cosine are taken in fp64 by another library.
void normal_fill_(at::Tensor& out, uint64_t seed, std::string_view name,
                  const NormalBox& box, double stddev);

}  // namespace mtrain::kernels
