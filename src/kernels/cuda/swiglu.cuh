// SiLU of a gate and its slope, for the kernels of SwiGLU.
#pragma once

namespace mtrain::kernels::cuda {

struct Silu {
  float value, slope;

  /// g s and s (1 + g (1 - s)) with s = sigmoid(g), which is 0 where exp overflows and
  /// NaN for NaN.
  __device__ __forceinline__ explicit Silu(float g) {
    const float s = __fdividef(1.0f, 1.0f + expf(-g));
    value = g * s;
    slope = s * (1.0f + g * (1.0f - s));
  }
};

}  // namespace mtrain::kernels::cuda
