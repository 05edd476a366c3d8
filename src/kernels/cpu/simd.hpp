// What the CPU loops share: one code path per instruction set, element access, exp.
#pragma once

#include <c10/util/BFloat16.h>

#include <bit>
#include <cstdint>
#include <limits>

/// Compiles the function for AVX-512, AVX2 and plain x86-64; the loader picks one.
/// Whatever it calls must be MT_INLINE, or it stays compiled for plain x86-64.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define MT_SIMD \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define MT_SIMD
#endif
#define MT_INLINE inline __attribute__((always_inline))

namespace mtrain::kernels::cpu {

using c10::BFloat16;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

MT_INLINE float load(float x) {
  return x;
}
MT_INLINE float load(BFloat16 x) {
  return std::bit_cast<float>(static_cast<uint32_t>(x.x) << 16);
}

template <class T>
MT_INLINE T rounded(float x);

template <>
MT_INLINE float rounded<float>(float x) {
  return x;
}

/// To nearest, ties to even; NaN stays NaN.
template <>
MT_INLINE BFloat16 rounded<BFloat16>(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  const uint32_t even = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const uint32_t result = x != x ? 0x7fc0u : even;
  return {static_cast<uint16_t>(result), BFloat16::from_bits()};
}

/// The value of x after a trip through T.
template <class T>
MT_INLINE float through(float x) {
  return load(rounded<T>(x));
}

/// Short rows are summed in lanes: the compiler's own reduction ends in a scalar loop
/// over the lanes, which costs more than a row of a few vectors.
constexpr int64_t kLanes = 16;
constexpr int64_t kWide = 32;  ///< lanes that fill the widest vectors of bf16 too

typedef float Quad __attribute__((vector_size(16), may_alias));

MT_INLINE float sum_lanes(const float* lane) {
  const Quad* quads = reinterpret_cast<const Quad*>(lane);
  const Quad sum = (quads[0] + quads[1]) + (quads[2] + quads[3]);
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

MT_INLINE float sum_wide(const float* lane) {
  return sum_lanes(lane) + sum_lanes(lane + kLanes);
}

MT_INLINE float max_lanes(const float* lane) {
  const Quad* quads = reinterpret_cast<const Quad*>(lane);
  const Quad a = quads[0] > quads[1] ? quads[0] : quads[1];
  const Quad b = quads[2] > quads[3] ? quads[2] : quads[3];
  const Quad max = a > b ? a : b;
  const float left = max[0] > max[1] ? max[0] : max[1];
  const float right = max[2] > max[3] ? max[2] : max[3];
  return left > right ? left : right;
}

MT_INLINE float max_wide(const float* lane) {
  const float low = max_lanes(lane), high = max_lanes(lane + kLanes);
  return low > high ? low : high;
}

/// Sum of a[i] * b[i].
template <class A, class B>
MT_INLINE float dot(const A* a, const B* b, int64_t count) {
  alignas(64) float lane[kWide] = {};
  int64_t i = 0;
  for (; i + kWide <= count; i += kWide) {
#pragma omp simd
    for (int64_t l = 0; l < kWide; ++l) lane[l] += load(a[i + l]) * load(b[i + l]);
  }
  for (; i + kLanes <= count; i += kLanes) {
#pragma omp simd
    for (int64_t l = 0; l < kLanes; ++l) lane[l] += load(a[i + l]) * load(b[i + l]);
  }
  for (; i < count; ++i) lane[0] += load(a[i]) * load(b[i]);
  return sum_wide(lane);
}

/// e^x within 2 ulp, with gradual underflow; 0 for -inf, inf for large x, NaN for NaN.
/// x = n ln 2 + r in two steps (Cody and Waite 1980), then e^r = 1 + r + r^2 q(r), q of
/// degree 5 interpolating (e^r - 1 - r) / r^2 at the Chebyshev nodes of |r| <= ln 2 / 2.
/// Reassociation by the compiler (-fassociative-math) would undo the reduction.
MT_INLINE float exp_fast(float x) {
  constexpr float kShift = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  float clamped = x < -104.0f ? -104.0f : x;
  clamped = clamped > 89.0f ? 89.0f : clamped;
  const float shifted = clamped * 1.44269504089f + kShift;
  const float n = shifted - kShift;
  float r = clamped - n * 0.693359375f;
  r = r + n * 2.12194440e-4f;
  float p = 1.989108047e-4f;
  p = p * r + 1.393373072e-3f;
  p = p * r + 8.333310845e-3f;
  p = p * r + 4.166646420e-2f;
  p = p * r + 1.666666668e-1f;
  p = p * r + 5.000000014e-1f;
  p = p * (r * r) + r;
  p = p + 1.0f;
  // 2^n in two factors, so that n = 128 and subnormal results pass.
  const int32_t exponent =
      std::bit_cast<int32_t>(shifted) - std::bit_cast<int32_t>(kShift);
  const int32_t half = exponent >> 1;
  const float low = std::bit_cast<float>((half + 127) << 23);
  const float high = std::bit_cast<float>((exponent - half + 127) << 23);
  return (p * low) * high;
}

}  // namespace mtrain::kernels::cpu
