// Owns the CUDA kernel that makes the table of rotary angles. Called by kernels/rope.cpp.
#include <ATen/ops/empty.h>

#include "ops.hpp"
#include "tools.cuh"

namespace mtrain::kernels::cuda {
namespace {

constexpr int kThreads = 256;

struct Frequencies {
  float inverse[128];
};

__global__ void angles(const int64_t* positions, Frequencies frequencies, int64_t tokens,
                       int half, float* cosines, float* sines) {
  const int64_t at = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (at >= tokens * half) return;
  const float position = static_cast<float>(positions[at / half]);
  // An fp32 product; its cosine in fp64 is the nearest fp32 value, however large it is.
  const double angle = position * frequencies.inverse[at % half];
  double sine, cosine;
  sincos(angle, &sine, &cosine);
  cosines[at] = static_cast<float>(cosine);
  sines[at] = static_cast<float>(sine);
}

}  // namespace

void rope_table(const Tensor& positions, const Tensor& inverse, RopeTable& out) {
  const int64_t tokens = positions.size(0), half = inverse.size(0);
  MT_CHECK(half <= 128, "rope_table: heads of ", 2 * half, " on a GPU; at most 256");
  out.cos_TD = at::empty({tokens, half}, positions.options().dtype(at::kFloat));
  out.sin_TD = at::empty({tokens, half}, positions.options().dtype(at::kFloat));
  if (tokens * half == 0) return;
  Frequencies frequencies{};
  std::copy_n(inverse.const_data_ptr<float>(), half, frequencies.inverse);
  angles<<<divided_up(tokens * half, kThreads), kThreads, 0, stream()>>>(
      data<int64_t>(positions), frequencies, tokens, static_cast<int>(half),
      data<float>(out.cos_TD), data<float>(out.sin_TD));
  check_launch("rope_table");
}

}  // namespace mtrain::kernels::cuda
