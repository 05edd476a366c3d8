// Sharded AdamW with fp32 master weights; the trainer drives it once per step.
#include "mtrain/parallel/optimizer.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

namespace mtrain::parallel {

namespace {

struct Range {
  int64_t begin, end;
};

/// The local elements [begin, end) of `p` without those another rank counts and saves.
std::vector<Range> without_copies(const Parameter& p, int64_t begin, int64_t end) {
  std::vector<Range> ranges;
  for (const SharedRange& shared : p.spec.shared) {
    if (shared.owner) continue;
    if (shared.begin > begin) ranges.push_back({begin, std::min(shared.begin, end)});
    begin = std::max(begin, shared.end);
  }
  ranges.push_back({begin, end});
  std::erase_if(ranges, [](const Range& range) { return range.begin >= range.end; });
  return ranges;
}

}  // namespace

Optimizer::Optimizer(ParamBuffer& buffer, const comm::ProcessGroups& groups,
                     const DataParallelOptions& sharding, const AdamWOptions& options)
    : buffer_(buffer), groups_(groups), sharding_(sharding), options_(options) {
  for (const Bucket& bucket : buffer.buckets()) shards_.push_back(make_shard(bucket));
}

bool Optimizer::counts(const Parameter& parameter) const {
  const bool shared = parameter.spec.role != TensorRole::kSharded;
  if (shared && groups_.tensor->rank() != 0) return false;
  return !parameter.spec.tied || groups_.embedding->rank() == 0;
}

Optimizer::Shard Optimizer::make_shard(const Bucket& bucket) const {
  const ShardRange owned = owned_range(bucket, groups_, sharding_);
  const int64_t at = owned.begin - bucket.begin, size = owned.end - owned.begin;
  Shard shard{owned.begin, owned.end, {}, {}, {}, {}, {}, {}, {}};
  shard.weight = buffer_.weights(bucket).narrow(0, at, size);
  shard.grad = buffer_.grads(bucket).narrow(0, at, size);
  shard.exp_avg = at::zeros_like(shard.grad);
  shard.exp_avg_sq = at::zeros_like(shard.grad);
  const bool fp32 = buffer_.dtype() == at::kFloat;
  shard.master = fp32 ? shard.weight : shard.weight.to(at::kFloat);
  const bool replica = !sharding_.sharded && groups_.data->rank() != 0;
  for (const Parameter* p : bucket.params) {
    const int64_t begin = std::max(owned.begin, p->begin);
    const int64_t end = std::min(owned.end, p->begin + numel(p->spec.shape));
    if (begin >= end) continue;
    shard.segments.push_back({begin - owned.begin, end - owned.begin, p->spec.decays()});
    if (!counts(*p) || replica) continue;
    for (const Range& range : without_copies(*p, begin - p->begin, end - p->begin)) {
      const int64_t shift = p->begin - owned.begin;
      shard.counted.push_back({range.begin + shift, range.end + shift, p->spec.decays()});
    }
  }
  return shard;
}

double Optimizer::gradient_norm() const {
  at::Tensor total = at::zeros({1}, shards_.front().grad.options().dtype(at::kDouble));
  for (const Shard& shard : shards_) {
    for (const auto& part : shard.counted) {
      total += kernels::sum_of_squares(
          shard.grad.narrow(0, part.begin, part.end - part.begin));
    }
  }
  groups_.world->all_reduce(total, comm::Reduce::kSum);
  return std::sqrt(total.item<double>());
}

void Optimizer::update(double learning_rate, double gradient_norm, int64_t step) {
  const double factor = options_.max_grad_norm / (gradient_norm + 1e-6);
  const bool clip = options_.max_grad_norm > 0 && factor < 1.0;
  const kernels::AdamW adamw{learning_rate,      options_.beta1,        options_.beta2,
                             options_.epsilon,   options_.weight_decay, step,
                             clip ? factor : 1.0};
  for (Shard& shard : shards_) {
    kernels::adamw_update(adamw, shard.master, shard.exp_avg, shard.exp_avg_sq,
                          shard.grad, shard.weight, shard.segments);
  }
}

void Optimizer::reset_master() {
  for (Shard& shard : shards_) {
    if (!shard.master.is_same(shard.weight)) shard.master.copy_(shard.weight);
  }
}

std::vector<StatePiece> Optimizer::pieces(bool unique) const {
  std::vector<StatePiece> result;
  const bool replica = !sharding_.sharded && groups_.data->rank() != 0;
  if (unique && replica) return result;
  for (const auto& p : buffer_.params()) {
    if (unique && !counts(*p)) continue;
    const Shard& shard = shards_[static_cast<size_t>(p->bucket)];
    const int64_t begin = std::max<int64_t>(0, shard.begin - p->begin);
    const int64_t end = std::min(numel(p->spec.shape), shard.end - p->begin);
    if (begin >= end) continue;
    const auto ranges =
        unique ? without_copies(*p, begin, end) : std::vector<Range>{{begin, end}};
    for (const Range& range : ranges)
      append_pieces(*p, shard, range.begin, range.end, result);
  }
  return result;
}

void Optimizer::append_pieces(const Parameter& p, const Shard& shard, int64_t begin,
                              int64_t end, std::vector<StatePiece>& out) {
  for (const auto& local : boxes_of_range(p.spec, begin, end)) {
    const Box& box = local.box;
    const int64_t first = p.begin + local.begin - shard.begin;
    const auto view = [&](const at::Tensor& flat) {
      return flat.narrow(0, first, box.size()).view(box.extent);
    };
    out.push_back({box, view(shard.master), view(shard.exp_avg), view(shard.exp_avg_sq)});
  }
}

}  // namespace mtrain::parallel
