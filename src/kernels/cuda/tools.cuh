// What the CUDA loops share: 16-byte access, rounding, sums over warps and blocks,
// launches.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_bf16.h>

#include <algorithm>
#include <type_traits>

#include "mtrain/base/error.hpp"

namespace mtrain::kernels::cuda {

using at::Tensor;
using c10::BFloat16;

constexpr int kWarp = 32;

/// Elements of T in one access of the vector path.
template <class T>
constexpr int kWidth = 16 / static_cast<int>(sizeof(T));

template <int bytes>
struct Words;
template <>
struct Words<2> {
  using Type = uint16_t;
};
template <>
struct Words<4> {
  using Type = uint32_t;
};
template <>
struct Words<8> {
  using Type = uint2;
};
template <>
struct Words<16> {
  using Type = uint4;
};

template <class T>
__device__ __forceinline__ T rounded(float x) {
  if constexpr (std::is_same_v<T, float>)
    return x;
  else
    return BFloat16(__bfloat16_as_ushort(__float2bfloat16_rn(x)), BFloat16::from_bits());
}

__device__ __forceinline__ float wide(float x) {
  return x;
}
__device__ __forceinline__ float wide(BFloat16 x) {
  return __uint_as_float(static_cast<uint32_t>(x.x) << 16);
}

/// The value of x after a trip through T.
template <class T>
__device__ __forceinline__ float through(float x) {
  return wide(rounded<T>(x));
}

/// W neighbouring elements, in registers as they are in memory.
template <class T, int W>
struct Group {
  using Raw = typename Words<W * sizeof(T)>::Type;
  Raw raw;

  /// i must be known when loops are unrolled.
  __device__ __forceinline__ float operator[](int i) const {
    if constexpr (std::is_same_v<T, float>) {
      return reinterpret_cast<const float*>(&raw)[i];
    } else if constexpr (W == 1) {
      return __uint_as_float(static_cast<uint32_t>(raw) << 16);
    } else {
      const uint32_t pair = reinterpret_cast<const uint32_t*>(&raw)[i / 2];
      return __uint_as_float(i % 2 == 0 ? pair << 16 : pair & 0xffff0000u);
    }
  }
};

/// Reads group `index` of a row of groups.
template <class T, int W>
__device__ __forceinline__ Group<T, W> read(const T* from, int64_t index) {
  return {reinterpret_cast<const typename Group<T, W>::Raw*>(from)[index]};
}

template <class T, int W>
__device__ __forceinline__ void write(T* to, int64_t index, Group<T, W> group) {
  reinterpret_cast<typename Group<T, W>::Raw*>(to)[index] = group.raw;
}

/// W fp32 values rounded to T.
template <class T, int W>
__device__ __forceinline__ Group<T, W> group_of(const float (&x)[W]) {
  Group<T, W> group;
  if constexpr (std::is_same_v<T, float>) {
#pragma unroll
    for (int i = 0; i < W; ++i) reinterpret_cast<float*>(&group.raw)[i] = x[i];
  } else if constexpr (W == 1) {
    group.raw = __bfloat16_as_ushort(__float2bfloat16_rn(x[0]));
  } else {
#pragma unroll
    for (int i = 0; i < W / 2; ++i) {
      const __nv_bfloat162 pair = __floats2bfloat162_rn(x[2 * i], x[2 * i + 1]);
      reinterpret_cast<uint32_t*>(&group.raw)[i] =
          *reinterpret_cast<const uint32_t*>(&pair);
    }
  }
  return group;
}

template <class T, int W>
__device__ __forceinline__ Group<T, W> zero_group() {
  const float zeros[W] = {};
  return group_of<T, W>(zeros);
}

struct Add {
  template <class V>
  __device__ __forceinline__ V operator()(V a, V b) const {
    return a + b;
  }
};

/// Of neighbouring `lanes` (a power of two), to all of them.
template <int lanes, class V, class F>
__device__ __forceinline__ V over_lanes(V x, F f) {
#pragma unroll
  for (int step = lanes / 2; step > 0; step /= 2)
    x = f(x, __shfl_xor_sync(0xffffffffu, x, step));
  return x;
}

/// Of this lane and those before it in the warp.
__device__ __forceinline__ int sum_up_to_lane(int x) {
  const int lane = threadIdx.x % kWarp;
  for (int step = 1; step < kWarp; step *= 2) {
    const int other = __shfl_up_sync(0xffffffffu, x, step);
    if (lane >= step) x += other;
  }
  return x;
}

/// Of the block's `threads` (whole warps), to all of them. `scratch` holds a value per
/// warp and may be used again after the next barrier.
template <int threads, class V, class F>
__device__ __forceinline__ V over_block(V x, V* scratch, F f) {
  constexpr int warps = threads / kWarp;
  x = over_lanes<kWarp>(x, f);
  if constexpr (warps == 1) return x;
  const int thread = threadIdx.x;
  if (thread % kWarp == 0) scratch[thread / kWarp] = x;
  __syncthreads();
  x = scratch[thread % warps];
  return over_lanes<warps>(x, f);
}

/// Jobs of add_columns: out[j] += the sum over `rows` of partial[row][j], in an order
/// that depends on `rows` alone.
struct ColumnSum {
  const float* partial;
  int64_t rows;
  float* out;
};

/// Runs both jobs, over `columns` columns, in one launch; a job of no rows adds nothing.
void add_columns(ColumnSum first, ColumnSum second, int64_t columns);

inline cudaStream_t stream() {
  return c10::cuda::getCurrentCUDAStream().stream();
}

inline int multiprocessors() {
  int device = 0, count = 0;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device);
  return count;
}

/// Throws Error where the launch just made was refused.
inline void check_launch(const char* op) {
  const cudaError_t error = cudaGetLastError();
  MT_CHECK(error == cudaSuccess, op, ": ", cudaGetErrorString(error));
}

constexpr int64_t divided_up(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

/// Whether rows of `columns` elements from here on can be read 16 bytes at a time.
template <class T>
bool vectors(int64_t columns, std::initializer_list<const void*> pointers) {
  return columns % kWidth<T> == 0 &&
         std::all_of(pointers.begin(), pointers.end(), [](const void* p) {
           return reinterpret_cast<uintptr_t>(p) % 16 == 0;
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

/// Calls f with the elements per access as a compile-time constant: kWidth<T> or 1.
template <class T, class F>
void with_width(bool vector, const F& f) {
  if (vector)
    f(std::integral_constant<int, kWidth<T>>{});
  else
    f(std::integral_constant<int, 1>{});
}

template <class T>
T* data(const at::Tensor& x) {
  return x.defined() ? x.mutable_data_ptr<T>() : nullptr;
}

}  // namespace mtrain::kernels::cuda
