// Owns vocabulary-parallel cross-entropy: checks shapes and picks the device's loops.
// Called by nn's loss head.
#include "mtrain/kernels/cross_entropy.hpp"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include "device.hpp"

namespace mtrain::kernels {
namespace {

void check_logits(const at::Tensor& logits_TV, const at::Tensor& targets_T,
                  const VocabSlice& slice) {
  const at::ScalarType dtype = require_activation(logits_TV, "cross_entropy: logits");
  require(logits_TV, dtype, {-1, -1}, "cross_entropy: logits");
  require(targets_T, at::kLong, {logits_TV.size(0)}, "cross_entropy: targets");
  MT_CHECK(slice.begin >= 0 && slice.valid >= 0 && slice.valid <= logits_TV.size(1),
           "cross_entropy: ", slice.valid, " valid columns from ", slice.begin,
           " in rows of ", logits_TV.size(1));
}

}  // namespace

RowStatistics cross_entropy_statistics(const at::Tensor& logits_TV,
                                       const at::Tensor& targets_T,
                                       const VocabSlice& slice) {
  check_logits(logits_TV, targets_T, slice);
  const auto make = [&] {
    return at::empty({logits_TV.size(0)}, logits_TV.options().dtype(at::kFloat));
  };
  RowStatistics out{make(), make(), make()};
  MT_LOOPS(logits_TV, cross_entropy_statistics)(logits_TV, targets_T, slice, out);
  return out;
}

void cross_entropy_backward_(at::Tensor& logits_TV, const at::Tensor& lse_T,
                             const at::Tensor& targets_T, const at::Tensor& weight_T,
                             const VocabSlice& slice) {
  check_logits(logits_TV, targets_T, slice);
  require(lse_T, at::kFloat, {logits_TV.size(0)}, "cross_entropy: lse");
  require(weight_T, at::kFloat, {logits_TV.size(0)}, "cross_entropy: weight");
  MT_LOOPS(logits_TV, cross_entropy_backward_)
  (logits_TV, lse_T, targets_T, weight_T, slice);
}

at::Tensor cross_entropy_(at::Tensor& logits_TV, const at::Tensor& targets_T,
                          const at::Tensor& weight_T, const VocabSlice& slice) {
  check_logits(logits_TV, targets_T, slice);
  MT_CHECK(slice.begin == 0, "cross_entropy: the slice begins at ", slice.begin);
  require(weight_T, at::kFloat, {logits_TV.size(0)}, "cross_entropy: weight");
  at::Tensor loss = at::empty_like(weight_T);
  MT_LOOPS(logits_TV, cross_entropy_)(logits_TV, targets_T, weight_T, slice, loss);
  return loss;
}

}  // namespace mtrain::kernels
