// Owns the kernel that splits fp32 values into sums of bf16 ones. Called by
// kernels/linear.cpp.
#include <ATen/ops/empty.h>

#include "bf16_parts.hpp"
#include "tools.cuh"

namespace mtrain::kernels::cuda {
namespace {

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads)
    split(const float* __restrict__ x, BFloat16* out, int64_t rows, int columns) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= rows * columns) return;
  BFloat16* to = out + i / columns * kBf16Parts * columns + i % columns;
  float rest = x[i];
#pragma unroll
  for (int part = 0; part < kBf16Parts; ++part) {
    const BFloat16 value = rounded<BFloat16>(rest);
    to[part * columns] = value;
    rest -= wide(value);
  }
}

}  // namespace

at::Tensor bf16_parts(const at::Tensor& x) {
  const int64_t rows = x.size(0), columns = x.size(1);
  at::Tensor out =
      at::empty({rows, kBf16Parts * columns}, x.options().dtype(at::kBFloat16));
  if (x.numel() == 0) return out;
  split<<<static_cast<unsigned>(divided_up(x.numel(), kThreads)), kThreads, 0,
          stream()>>>(data<float>(x), data<BFloat16>(out), rows,
                      static_cast<int>(columns));
  check_launch("bf16_parts");
  return out;
}

}  // namespace mtrain::kernels::cuda
