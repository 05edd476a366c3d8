// The ways to compute attention on a GPU, chosen between by attention.cpp. Each has the
// arguments of attention_forward and attention_backward; tokens are never zero.
#pragma once

#include <string>

#include "../cpu/ops.hpp"

namespace mtrain::kernels::cuda {

namespace cudnn {
decltype(cpu::attention_forward) forward;
decltype(cpu::attention_backward) backward;

/// Why cuDNN cannot do forward or backward of these; empty if it can. The same for both
/// passes over the same documents.
std::string refusal(const at::Tensor& q_TND, const at::Tensor& k_TKD,
                    const at::Tensor& v_TKD, const Documents& documents,
                    const AttentionOptions& options);
}  // namespace cudnn

namespace flash {
decltype(cpu::attention_forward) forward;
decltype(cpu::attention_backward) backward;
}  // namespace flash

namespace unfused {
decltype(cpu::attention_forward) forward;
decltype(cpu::attention_backward) backward;
}  // namespace unfused

}  // namespace mtrain::kernels::cuda
