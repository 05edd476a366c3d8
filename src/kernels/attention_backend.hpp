// Which attention kernels exist for what, shared by attention_backend.cpp and cuda/.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

namespace mtrain::kernels {

/// cuDNN's and flash attention's limits: bfloat16, heads of 8, 16, ... 128.
bool fused_attention_takes(at::ScalarType dtype, int64_t head_dim);

namespace cuda {
/// Why cuDNN cannot compute attention on `device` for heads of `head_dim`; empty if it
/// can.
std::string cudnn_attention_refusal(at::Device device, int64_t head_dim);
std::string cudnn_version();  ///< "9.19"
}  // namespace cuda

}  // namespace mtrain::kernels
