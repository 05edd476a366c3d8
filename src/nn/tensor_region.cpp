// The collectives at the borders of tensor-parallel regions; used by linear layers and
// the head.
#include "mtrain/nn/tensor_region.hpp"

#include <ATen/ATen.h>

#include "mtrain/base/error.hpp"

namespace mtrain::nn {

TensorRegion::Result TensorRegion::start_enter(const at::Tensor& x) const {
  if (!sequence_parallel_) return {x, nullptr};
  auto shape = x.sizes().vec();
  shape[0] *= group_.size();
  at::Tensor whole = at::empty(shape, x.options());
  auto pending = group_.start_all_gather(x, whole);
  return {std::move(whole), std::move(pending)};
}

TensorRegion::Result TensorRegion::start_leave(const at::Tensor& partial) const {
  if (group_.size() == 1) return {partial, nullptr};
  if (!sequence_parallel_) {
    return {partial, group_.start_all_reduce(partial, comm::Reduce::kSum)};
  }
  auto shape = partial.sizes().vec();
  MT_CHECK(shape[0] % group_.size() == 0, shape[0], " tokens over ", group_.size(),
           " ranks");
  shape[0] /= group_.size();
  at::Tensor part = at::empty(shape, partial.options());
  auto pending = group_.start_reduce_scatter(partial, part);
  return {std::move(part), std::move(pending)};
}

}  // namespace mtrain::nn
