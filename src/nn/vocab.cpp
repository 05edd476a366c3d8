// Embedding and loss head; logits are chunked over tokens so that they are never whole in
// memory.
#include "mtrain/nn/vocab.hpp"

#include <ATen/ATen.h>

#include <algorithm>

#include "mtrain/kernels/embedding.hpp"
#include "mtrain/kernels/linear.hpp"
#include "mtrain/nn/linear.hpp"

namespace mtrain::nn {

at::Tensor Embedding::forward(const MicroBatch& batch) const {
  return region_.leave(kernels::embedding_forward(table_.weight, batch.ids_T, begin_));
}

void Embedding::backward(const at::Tensor& grad, const MicroBatch& batch) const {
  kernels::embedding_backward(table_.grad_to_add_to(), region_.enter(grad), batch.ids_T,
                              begin_);
}

/// As many tokens as the products need to run at full speed (measured): 64 MiB of logits
/// on a CPU; on a GPU 4096 tokens of a vocabulary of 150,000, so that reading and writing
/// the head's fp32 gradient hides behind the product. At least 64 tokens for very large
/// vocabularies.
int64_t LossHead::chunk_tokens(int64_t rows, at::Device device) {
  const int64_t elements = int64_t{device.is_cpu() ? 16 : 600} << 20;
  return std::max<int64_t>(64, elements / rows / 64 * 64);
}

std::pair<at::Tensor, at::Tensor> LossHead::combine(kernels::RowStatistics s) const {
  comm::Communicator& group = region_.group();
  const at::Tensor largest = s.max_T.clone();
  group.all_reduce(largest, comm::Reduce::kMax);
  const at::Tensor sums = at::stack({s.sum_T * (s.max_T - largest).exp(), s.target_T});
  group.all_reduce(sums, comm::Reduce::kSum);
  return {largest + sums[0].log(), sums[1]};
}

at::Tensor LossHead::loss_and_gradient(at::Tensor& logits, const at::Tensor& targets,
                                       const at::Tensor& weights) const {
  if (region_.group().size() == 1) {
    return kernels::cross_entropy_(logits, targets, weights, slice_);
  }
  const auto [lse, target] =
      combine(kernels::cross_entropy_statistics(logits, targets, slice_));
  kernels::cross_entropy_backward_(logits, lse, targets, weights, slice_);
  return (lse - target).masked_fill(targets.lt(0), 0.0);
}

void LossHead::sweep(const at::Tensor& x, const at::Tensor& targets,
                     const at::Tensor& weights, Result& result) const {
  const int64_t tokens = x.size(0), rows = weight_.weight.size(0);
  const int64_t chunk = std::min(chunk_tokens(rows, x.device()), tokens);
  const at::Tensor buffer = at::empty({chunk, rows}, x.options());
  for (int64_t begin = 0; begin < tokens; begin += chunk) {
    const int64_t count = std::min(chunk, tokens - begin);
    const auto part = [&](const at::Tensor& t) { return t.narrow(0, begin, count); };
    at::Tensor logits = buffer.narrow(0, 0, count);
    kernels::linear_forward_out(logits, part(x), weight_.weight);
    part(result.token_loss_T)
        .copy_(loss_and_gradient(logits, part(targets), part(weights)));
    if (!result.dx_TH.defined()) continue;
    at::Tensor dx_part = part(result.dx_TH);
    kernels::linear_backward_input_out(dx_part, logits, weight_.weight);
    add_weight_gradient(weight_, logits, part(x));
  }
}

LossHead::Result LossHead::forward(const at::Tensor& x_TH, const MicroBatch& batch,
                                   bool training, const WeightsOf& weights_of) const {
  const at::Tensor x = region_.enter(x_TH);
  Result result{at::empty({x.size(0)}, x.options().dtype(at::kFloat)), {}};
  at::Tensor weights = batch.weights_T;
  if (weights_of) {
    sweep(x, batch.targets_T, weights, result);
    weights = weights_of(result.token_loss_T);
  }
  if (training) result.dx_TH = at::empty_like(x);
  if (training || !weights_of) sweep(x, batch.targets_T, weights, result);
  if (training) result.dx_TH = region_.leave(result.dx_TH);
  return result;
}

}  // namespace mtrain::nn
