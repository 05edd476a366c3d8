// Reduces gradient buckets and gathers weight buckets; driven by the model and the
// trainer.
#include "mtrain/parallel/data_parallel.hpp"

#include <ATen/ATen.h>

#include <algorithm>

#include "mtrain/base/error.hpp"

namespace mtrain::parallel {
namespace {

/// A gradient range to be summed over the tensor-parallel ranks of the same slot.
struct PartialGradient {
  at::Tensor view;
  int slot, slots;
};

/// The ranges of `p` whose gradients are partial.
std::vector<SharedRange> partial_ranges(const Parameter& p) {
  if (p.spec.role != TensorRole::kPartial) return p.spec.shared;
  return {{0, numel(p.spec.shape), 0, 1, true}};
}

/// The partial gradients inside `owned`.
void append_partial(const ParamBuffer& buffer, const Bucket& bucket,
                    const ShardRange& owned, std::vector<PartialGradient>& out) {
  for (const Parameter* p : bucket.params) {
    for (const SharedRange& range : partial_ranges(*p)) {
      const int64_t begin = std::max(owned.begin, p->begin + range.begin);
      const int64_t end = std::min(owned.end, p->begin + range.end);
      if (begin >= end) continue;
      out.push_back({buffer.grads(bucket).narrow(0, begin - bucket.begin, end - begin),
                     range.slot, range.slots});
    }
  }
}

}  // namespace

comm::Communicator& holders(const Bucket& bucket, const comm::ProcessGroups& groups) {
  return bucket.expert() ? *groups.expert_data : *groups.data;
}

ShardRange owned_range(const Bucket& bucket, const comm::ProcessGroups& groups,
                       const DataParallelOptions& options) {
  if (!options.sharded) return {bucket.begin, bucket.end};
  const comm::Communicator& group = holders(bucket, groups);
  return shard_of(bucket, group.rank(), group.size());
}

GradientSync::GradientSync(ParamBuffer& buffer, const comm::ProcessGroups& groups,
                           const DataParallelOptions& options)
    : buffer_(buffer),
      groups_(groups),
      options_(options),
      missing_(buffer.buckets().size()),
      started_(buffer.buckets().size()),
      pending_(buffer.buckets().size()) {}

void GradientSync::begin_step() {
  buffer_.forget_grads();
  for (size_t i = 0; i < missing_.size(); ++i) {
    missing_[i] = buffer_.buckets()[i].params.size();
    started_[i] = false;
  }
}

void GradientSync::ready(Parameter& parameter) {
  const auto bucket = static_cast<size_t>(parameter.bucket);
  MT_CHECK(missing_[bucket] > 0, parameter.spec.name, " became ready twice");
  parameter.grad_to_add_to();  // where nothing was added, zeros and not an earlier step
  --missing_[bucket];
  if (options_.overlap_grad_reduce && missing_[bucket] == 0) start_reduce(bucket);
}

void GradientSync::start_reduce(size_t index) {
  const Bucket& bucket = buffer_.buckets()[index];
  const at::Tensor grads = buffer_.grads(bucket);
  comm::Communicator& group = holders(bucket, groups_);
  started_[index] = true;
  if (!options_.sharded) {
    pending_[index] = group.start_all_reduce(grads, comm::Reduce::kSum);
    return;
  }
  const ShardRange owned = owned_range(bucket, groups_, options_);
  const at::Tensor shard =
      grads.narrow(0, owned.begin - bucket.begin, owned.end - owned.begin);
  pending_[index] = group.start_reduce_scatter(grads, shard);
}

void GradientSync::finish() {
  for (size_t i = 0; i < missing_.size(); ++i) {
    MT_CHECK(missing_[i] == 0, missing_[i], " gradients of bucket ", i,
             " never became ready");
    if (!started_[i]) start_reduce(i);
  }
  for (auto& pending : pending_) comm::finish(pending);
  sum_tied_copies();
  sum_partial_gradients();
}

void GradientSync::sum_tied_copies() {
  if (groups_.embedding->size() == 1) return;
  for (const Bucket& bucket : buffer_.buckets()) {
    if (!bucket.params.front()->spec.tied) continue;
    const ShardRange owned = owned_range(bucket, groups_, options_);
    groups_.embedding->all_reduce(
        buffer_.grads(bucket).narrow(0, owned.begin - bucket.begin,
                                     owned.end - owned.begin),
        comm::Reduce::kSum);
  }
}

// One all-reduce for all of them: each rank adds to its slot of a zeroed buffer. The
// tensor- parallel ranks lay their buckets out alike, so the ranges are the same on each.
void GradientSync::sum_partial_gradients() {
  if (groups_.tensor->size() == 1) return;
  std::vector<PartialGradient> partial;
  int64_t total = 0;
  for (const Bucket& bucket : buffer_.buckets()) {
    append_partial(buffer_, bucket, owned_range(bucket, groups_, options_), partial);
  }
  for (const auto& part : partial) total += part.slots * part.view.numel();
  if (total == 0) return;
  const at::Tensor packed = at::zeros({total}, partial.front().view.options());
  const auto each_slot = [&](const auto& use) {
    int64_t offset = 0;
    for (auto& part : partial) {
      const int64_t size = part.view.numel();
      use(part.view, packed.narrow(0, offset + part.slot * size, size));
      offset += part.slots * size;
    }
  };
  each_slot([](const at::Tensor& view, const at::Tensor& slot) { slot.copy_(view); });
  groups_.tensor->all_reduce(packed, comm::Reduce::kSum);
  each_slot([](const at::Tensor& view, const at::Tensor& slot) { view.copy_(slot); });
}

ParameterGather::ParameterGather(ParamBuffer& buffer, const comm::ProcessGroups& groups,
                                 const DataParallelOptions& options)
    : buffer_(buffer),
      groups_(groups),
      options_(options),
      pending_(buffer.buckets().size()) {}

void ParameterGather::start() {
  if (!options_.sharded) return;
  for (size_t i = pending_.size(); i-- > 0;) {
    const Bucket& bucket = buffer_.buckets()[i];
    comm::Communicator& group = holders(bucket, groups_);
    if (group.size() == 1) continue;
    const ShardRange owned = owned_range(bucket, groups_, options_);
    const at::Tensor weights = buffer_.weights(bucket);
    pending_[i] = group.start_all_gather(
        weights.narrow(0, owned.begin - bucket.begin, owned.end - owned.begin), weights);
  }
  if (!options_.overlap_param_gather) require_all();
}

void ParameterGather::require(const Parameter& parameter) {
  comm::finish(pending_[static_cast<size_t>(parameter.bucket)]);
}

void ParameterGather::require_all() {
  for (auto& pending : pending_) comm::finish(pending);
}

}  // namespace mtrain::parallel
