// Owns the CUDA kernel that fills a box with normal numbers. Called by
// kernels/random.cpp. Words and arithmetic are those of base/rng.cpp, in fp64 as there.
#include "mtrain/base/rng.hpp"
#include "ops.hpp"
#include "tools.cuh"

namespace mtrain::kernels::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kLanes = 4;  ///< numbers of one Philox block

struct Product {
  uint32_t high, low;
};

__device__ __forceinline__ Product multiply(uint32_t a, uint32_t b) {
  return {__umulhi(a, b), a * b};
}

/// As mtrain::philox.
__device__ __forceinline__ uint4 philox(uint64_t key, uint64_t low, uint64_t high) {
  uint4 c{static_cast<uint32_t>(low), static_cast<uint32_t>(low >> 32),
          static_cast<uint32_t>(high), static_cast<uint32_t>(high >> 32)};
  uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    const Product a = multiply(0xD2511F53u, c.x), b = multiply(0xCD9E8D57u, c.z);
    c = {b.high ^ c.y ^ k0, b.low, a.high ^ c.w ^ k1, a.low};
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return c;
}

/// Two standard normals from two words (Box-Muller).
__device__ __forceinline__ float2 normals(uint32_t a, uint32_t b) {
  const double u = (static_cast<double>(a) + 0.5) * 0x1p-32;
  const double radius = sqrt(-2.0 * log(u));
  double sine, cosine;
  sincospi(static_cast<double>(b) * 0x1p-31, &sine, &cosine);
  return {static_cast<float>(radius * cosine), static_cast<float>(radius * sine)};
}

/// One Philox block of one row a thread: its elements that lie inside the box.
template <class T>
__global__ void __launch_bounds__(kThreads)
    fill(T* out, uint64_t seed, uint64_t stream, NormalBox box, int64_t row_blocks,
         float stddev) {
  const int64_t at = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (at >= box.rows * row_blocks) return;
  const int64_t row = at / row_blocks;
  const int64_t begin = box.first + row * box.full_columns;
  const int64_t block = begin / kLanes + at % row_blocks;
  const uint4 words = philox(seed, static_cast<uint64_t>(block), stream);
  const float2 a = normals(words.x, words.y), b = normals(words.z, words.w);
  const float values[kLanes] = {a.x * stddev, a.y * stddev, b.x * stddev, b.y * stddev};
  const int64_t column = block * kLanes - begin;
  T* to = out + row * box.columns + column;
  const bool whole = column >= 0 && column + kLanes <= box.columns;
  if (whole && reinterpret_cast<uintptr_t>(to) % (kLanes * sizeof(T)) == 0) {
    write(to, 0, group_of<T, kLanes>(values));
    return;
  }
#pragma unroll
  for (int i = 0; i < kLanes; ++i)
    if (column + i >= 0 && column + i < box.columns) to[i] = rounded<T>(values[i]);
}

}  // namespace

void normal_fill_(Tensor& out, uint64_t seed, std::string_view name, const NormalBox& box,
                  double stddev) {
  if (out.numel() == 0) return;
  const int64_t row_blocks = divided_up(box.columns + kLanes - 1, kLanes);
  with_type(out.scalar_type(), [&](auto type) {
    using T = decltype(type);
    fill<T><<<divided_up(box.rows * row_blocks, kThreads), kThreads, 0, stream()>>>(
        data<T>(out), seed, hash64(name), box, row_blocks, static_cast<float>(stddev));
  });
  check_launch("normal_fill_");
}

}  // namespace mtrain::kernels::cuda
