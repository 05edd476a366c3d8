// Sharded AdamW with fp32 master weights; the trainer drives it once per step.
#include "mtrain/parallel/optimizer.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "mtrain/base/error.hpp"

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

double StepTotals::loss() const {
  return values[0].item<double>();
}

double StepTotals::gradient_norm() const {
  return std::sqrt(values[1].item<double>());
}

double StepTotals::further(int64_t i) const {
  MT_CHECK(2 + i < values.numel());
  return values[2 + i].item<double>();
}

Optimizer::Optimizer(ParamBuffer& buffer, const comm::ProcessGroups& groups,
                     const DataParallelOptions& sharding, const AdamWOptions& options)
    : buffer_(buffer), groups_(groups), sharding_(sharding), options_(options) {
  Segments all, counted;
  int64_t size = 0;
  for (const Bucket& bucket : buffer.buckets()) {
    const ShardRange owned = owned_range(bucket, groups_, sharding_);
    shards_.push_back({owned.begin, owned.end, size});
    add_segments(bucket, shards_.back(), all, counted);
    size += owned.end - owned.begin;
  }
  const at::Tensor& grads = buffer.grads();
  segments_.emplace(std::move(all), grads.device());
  counted_.emplace(std::move(counted), grads.device());
  const auto make = [&] { return at::zeros({size}, grads.options()); };
  state_ = {buffer.dtype() == at::kFloat ? at::Tensor() : make(), make(), make()};
  updates_ = at::zeros({1}, grads.options().dtype(at::kLong));
  reset_master();
}

bool Optimizer::counts(const Parameter& parameter) const {
  const bool shared = parameter.spec.role != TensorRole::kSharded;
  if (shared && groups_.tensor->rank() != 0) return false;
  return !parameter.spec.tied || groups_.embedding->rank() == 0;
}

bool Optimizer::is_replica(const Bucket& bucket) const {
  return !sharding_.sharded && holders(bucket, groups_).rank() != 0;
}

void Optimizer::add_segments(const Bucket& bucket, const Shard& shard, Segments& all,
                             Segments& counted) const {
  const int64_t to_state = shard.state - shard.begin;
  for (const Parameter* p : bucket.params) {
    const int64_t begin = std::max(shard.begin, p->begin);
    const int64_t end = std::min(shard.end, p->begin + numel(p->spec.shape));
    if (begin >= end) continue;
    const bool decays = p->spec.decays();
    all.push_back({begin + to_state, begin, end - begin, decays});
    if (!counts(*p) || is_replica(bucket)) continue;
    for (const Range& range : without_copies(*p, begin - p->begin, end - p->begin)) {
      const int64_t flat = p->begin + range.begin;
      counted.push_back({flat + to_state, flat, range.end - range.begin, decays});
    }
  }
}

StepTotals Optimizer::totals(const at::Tensor& shares) const {
  const at::Tensor squares = kernels::sum_of_squares(buffer_.grads(), *counted_);
  StepTotals totals{at::cat({shares.slice(0, 0, 1), squares, shares.slice(0, 1)})};
  groups_.world->all_reduce(totals.values, comm::Reduce::kSum);
  return totals;
}

void Optimizer::update(double learning_rate, const StepTotals& totals) {
  const kernels::AdamW adamw{learning_rate,         options_.beta1,
                             options_.beta2,        options_.epsilon,
                             options_.weight_decay, options_.max_grad_norm};
  const at::Tensor scalars =
      kernels::adamw_scalars(adamw, totals.values.slice(0, 0, 2), updates_);
  at::Tensor weights = buffer_.weights();
  kernels::adamw_update(scalars, state_, buffer_.grads(), weights, *segments_);
}

int64_t Optimizer::updates() const {
  return updates_.item<int64_t>();
}

void Optimizer::set_updates(int64_t updates) {
  updates_.fill_(updates);
}

void Optimizer::reset_master() {
  if (!state_.master.defined()) return;
  for (const Shard& shard : shards_) {
    const int64_t size = shard.end - shard.begin;
    state_.master.narrow(0, shard.state, size)
        .copy_(buffer_.weights().narrow(0, shard.begin, size));
  }
}

int64_t Optimizer::state_bytes() const {
  int64_t bytes = 0;
  for (const at::Tensor& x : {state_.master, state_.exp_avg, state_.exp_avg_sq}) {
    if (x.defined()) bytes += static_cast<int64_t>(x.nbytes());
  }
  return bytes;
}

std::vector<StatePiece> Optimizer::pieces(bool unique) const {
  std::vector<StatePiece> result;
  for (const auto& p : buffer_.params()) {
    const auto bucket = static_cast<size_t>(p->bucket);
    if (unique && (!counts(*p) || is_replica(buffer_.buckets()[bucket]))) continue;
    const Shard& shard = shards_[bucket];
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
                              int64_t end, std::vector<StatePiece>& out) const {
  for (const auto& local : boxes_of_range(p.spec, begin, end)) {
    const Box& box = local.box;
    const int64_t flat = p.begin + local.begin;
    const auto view = [&](const at::Tensor& x, int64_t first) {
      return x.narrow(0, first, box.size()).view(box.extent);
    };
    const int64_t at = flat - shard.begin + shard.state;
    out.push_back({box,
                   state_.master.defined() ? view(state_.master, at)
                                           : view(buffer_.weights(), flat),
                   view(state_.exp_avg, at), view(state_.exp_avg_sq, at)});
  }
}

}  // namespace mtrain::parallel
