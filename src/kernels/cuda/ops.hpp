// The CUDA side of each operator: the same functions as cpu/ops.hpp, by the types
// declared there, for tensors on the current device and its current stream.
#pragma once

#include "../cpu/ops.hpp"

namespace mtrain::kernels::cuda {

decltype(cpu::rms_norm_forward) rms_norm_forward;
decltype(cpu::rms_norm_apply) rms_norm_apply;
decltype(cpu::rms_norm_backward) rms_norm_backward;
decltype(cpu::rope_table) rope_table;
decltype(cpu::qk_norm_rope_forward) qk_norm_rope_forward;
decltype(cpu::qk_norm_rope_backward) qk_norm_rope_backward;
decltype(cpu::attention_forward) attention_forward;
decltype(cpu::attention_backward) attention_backward;
decltype(cpu::swiglu_forward) swiglu_forward;
decltype(cpu::swiglu_backward) swiglu_backward;
decltype(cpu::cross_entropy_statistics) cross_entropy_statistics;
decltype(cpu::cross_entropy_backward_) cross_entropy_backward_;
decltype(cpu::cross_entropy_) cross_entropy_;
decltype(cpu::embedding_forward) embedding_forward;
decltype(cpu::embedding_backward) embedding_backward;
decltype(cpu::adamw_scalars) adamw_scalars;
decltype(cpu::adamw_update) adamw_update;
decltype(cpu::sum_of_squares) sum_of_squares;
decltype(cpu::router_forward) router_forward;
decltype(cpu::router_backward) router_backward;
decltype(cpu::router_totals) router_totals;
decltype(cpu::permutation) permutation;
decltype(cpu::gather_rows) gather_rows;
decltype(cpu::sum_rows) sum_rows;
decltype(cpu::weighted_swiglu_forward) weighted_swiglu_forward;
decltype(cpu::weighted_swiglu_backward) weighted_swiglu_backward;
decltype(cpu::normal_fill_) normal_fill_;

}  // namespace mtrain::kernels::cuda
