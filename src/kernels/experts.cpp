// Owns the products and the SwiGLU of experts: all in one launch on the GPUs and for the
// types that have it, one expert's rows after the other's elsewhere. Called by nn.
#include "mtrain/kernels/experts.hpp"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include "device.hpp"
#ifdef MTRAIN_CUDA
#include "cuda/grouped_product.hpp"
#endif

namespace mtrain::kernels {
namespace {

/// The rows of one expert.
struct Block {
  int64_t expert, begin, count;
  at::Tensor of(const at::Tensor& rows) const { return rows.narrow(0, begin, count); }
};

/// Calls f with each expert's block, those without rows included.
template <class F>
void over_experts(const at::Tensor& ends_E, int64_t experts, const F& f) {
  require(ends_E, at::kInt, {experts}, "grouped linear: ends");
  const at::Tensor host = ends_E.to(at::kCPU);
  const int32_t* end = host.const_data_ptr<int32_t>();
  for (int64_t e = 0; e < experts; ++e) {
    const int64_t begin = e == 0 ? 0 : end[e - 1];
    f(Block{e, begin, end[e] - begin});
  }
}

bool in_one_launch(const at::Tensor& rows,
                   [[maybe_unused]] const at::Tensor& matrices_EOI) {
  return rows.is_cuda() && MT_CUDA_OR(suits_grouped_product(rows, matrices_EOI), false);
}

void check_rows(const at::Tensor& gate_up, const at::Tensor& weight_N) {
  require(gate_up, require_activation(gate_up, "weighted swiglu: gate_up"), {-1, -1},
          "weighted swiglu: gate_up");
  require(weight_N, at::kFloat, {gate_up.size(0)}, "weighted swiglu: weight");
  MT_CHECK(gate_up.size(1) % 2 == 0, "weighted swiglu: row of ", gate_up.size(1),
           " is not [gate | up]");
}

}  // namespace

at::Tensor grouped_linear_forward(const at::Tensor& x_NI, const at::Tensor& weight_EOI,
                                  const at::Tensor& ends_E) {
  at::Tensor y = at::empty({x_NI.size(0), weight_EOI.size(1)}, x_NI.options());
  if (in_one_launch(x_NI, weight_EOI)) {
    MT_CUDA_OR(grouped_forward(x_NI, weight_EOI, ends_E, y), void());
    return y;
  }
  over_experts(ends_E, weight_EOI.size(0), [&](const Block& block) {
    if (block.count == 0) return;
    at::Tensor part = block.of(y);
    linear_forward_out(part, block.of(x_NI), weight_EOI.select(0, block.expert));
  });
  return y;
}

at::Tensor grouped_linear_backward_input(const at::Tensor& dy_NO,
                                         const at::Tensor& weight_EOI,
                                         const at::Tensor& ends_E) {
  at::Tensor dx = at::empty({dy_NO.size(0), weight_EOI.size(2)}, dy_NO.options());
  if (in_one_launch(dy_NO, weight_EOI)) {
    MT_CUDA_OR(grouped_backward_input(dy_NO, weight_EOI, ends_E, dx), void());
    return dx;
  }
  over_experts(ends_E, weight_EOI.size(0), [&](const Block& block) {
    if (block.count == 0) return;
    at::Tensor part = block.of(dx);
    linear_backward_input_out(part, block.of(dy_NO), weight_EOI.select(0, block.expert));
  });
  return dx;
}

void grouped_linear_backward_weight(at::Tensor& grad_EOI, const at::Tensor& dy_NO,
                                    const at::Tensor& x_NI, const at::Tensor& ends_E,
                                    Accumulate accumulate) {
  if (in_one_launch(dy_NO, grad_EOI)) {
    MT_CUDA_OR(grouped_backward_weight(grad_EOI, dy_NO, x_NI, ends_E,
                                       accumulate == Accumulate::kAdd),
               void());
    return;
  }
  over_experts(ends_E, grad_EOI.size(0), [&](const Block& block) {
    at::Tensor grad = grad_EOI.select(0, block.expert);
    if (block.count > 0) {
      linear_backward_weight(grad, block.of(dy_NO), block.of(x_NI), accumulate);
    } else if (accumulate == Accumulate::kOverwrite) {
      grad.zero_();
    }
  });
}

at::Tensor weighted_swiglu_forward(const at::Tensor& gate_up,
                                   const at::Tensor& weight_N) {
  check_rows(gate_up, weight_N);
  at::Tensor y = at::empty({gate_up.size(0), gate_up.size(1) / 2}, gate_up.options());
  MT_LOOPS(gate_up, weighted_swiglu_forward)(gate_up, weight_N, y);
  return y;
}

WeightedSwigluGrad weighted_swiglu_backward(const at::Tensor& dy_NF,
                                            const at::Tensor& gate_up,
                                            const at::Tensor& weight_N) {
  check_rows(gate_up, weight_N);
  require(dy_NF, gate_up.scalar_type(), {gate_up.size(0), gate_up.size(1) / 2},
          "weighted swiglu: dy");
  WeightedSwigluGrad grad{at::empty_like(gate_up), at::empty_like(weight_N),
                          at::empty_like(dy_NF)};
  MT_LOOPS(gate_up, weighted_swiglu_backward)(dy_NF, gate_up, weight_N, grad);
  return grad;
}

}  // namespace mtrain::kernels
