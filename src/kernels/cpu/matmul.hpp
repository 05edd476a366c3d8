// Matrix products of any size with fp32 results.
#pragma once

#include <cstdint>

namespace mtrain::kernels::cpu {

/// Element (i, j) is at data[i * row + j * column]; one of the strides is 1.
template <class T>
struct Strided {
  const T* data;
  int64_t row, column;
};

/// c[i * c_row + j] = (or +=, with `add`) sum over k < depth of a(i, k) * b(k, j),
/// products and sums in fp32, T float or BFloat16. The order of the sums depends on the
/// sizes only.
template <class T>
void matmul(int64_t rows, int64_t columns, int64_t depth, const Strided<T>& a,
            const Strided<T>& b, float* c, int64_t c_row, bool add);

}  // namespace mtrain::kernels::cpu
