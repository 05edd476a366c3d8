// The two ways of bringing tokens to experts; the mixture-of-experts layer calls them.
#include "mtrain/nn/dispatcher.hpp"

#include <ATen/ATen.h>

#include <numeric>

#include "mtrain/base/error.hpp"

namespace mtrain::nn {
namespace {

using Rows = std::vector<int64_t>;
using kernels::Pairs;

/// values[index[i]] for a flat tensor.
at::Tensor pick(const at::Tensor& values, const at::Tensor& index) {
  return values.flatten().index_select(0, index.flatten());
}

/// The number of each pair's row; zero where the pair has none.
at::Tensor of_pairs(const at::Tensor& numbers_N, const at::Tensor& rows_TK) {
  if (numbers_N.numel() == rows_TK.numel())
    return pick(numbers_N, rows_TK).view(rows_TK.sizes());
  const at::Tensor padded = at::cat({numbers_N, at::zeros({1}, numbers_N.options())});
  const at::Tensor index = rows_TK.masked_fill(rows_TK.lt(0), numbers_N.numel());
  return pick(padded, index).view(rows_TK.sizes());
}

/// counts[i] times offset[i] for each i, plus 0, 1, 2, ... over all: the order that moves
/// blocks of these sizes by their offsets. On `device`, which nobody waits for.
at::Tensor moved(const at::Tensor& counts, const at::Tensor& offsets, int64_t rows,
                 at::Device device) {
  const auto there = [&](const at::Tensor& x) {
    return x.flatten().to(device, at::kInt, /*non_blocking=*/true);
  };
  return at::repeat_interleave(there(offsets), there(counts), 0, rows) +
         at::arange(rows, at::device(device).dtype(at::kInt));
}

class AllToAll : public Dispatcher {
 public:
  using Dispatcher::Dispatcher;

  Plan plan(const at::Tensor& experts_TK, Pairs pairs) const override {
    Plan plan;
    plan.permutation = kernels::permutation_by_expert(experts_TK, experts_, pairs);
    const at::Tensor& counts = plan.permutation.counts_E;
    if (local())
      plan.ends_E = plan.permutation.ends_E;
    else
      meet(counts.to(at::kCPU), counts.device(), plan);
    return plan;
  }

  at::Tensor dispatch(const at::Tensor& x_TH, const Plan& plan) const override {
    const at::Tensor rows = kernels::gather_rows(x_TH, plan.permutation.tokens_N);
    if (local()) return rows;
    return kernels::gather_rows(exchange(rows, plan.sent, plan.received), plan.arrival_N);
  }

  at::Tensor combine(const at::Tensor& rows_NH, const Plan& plan) const override {
    at::Tensor rows = rows_NH;
    if (!local()) {
      rows = exchange(kernels::gather_rows(rows, plan.departure_N), plan.received,
                      plan.sent);
    }
    return kernels::sum_rows(rows, plan.permutation.rows_TK);
  }

  at::Tensor dispatch_weights(const at::Tensor& weights_TK,
                              const Plan& plan) const override {
    const at::Tensor rows = pick(weights_TK, plan.permutation.pairs_N);
    if (local()) return rows;
    return pick(exchange(rows, plan.sent, plan.received), plan.arrival_N);
  }

  at::Tensor combine_weights(const at::Tensor& weights_N,
                             const Plan& plan) const override {
    at::Tensor rows = weights_N;
    if (!local()) {
      rows = exchange(pick(rows, plan.departure_N), plan.received, plan.sent);
    }
    return of_pairs(rows, plan.permutation.rows_TK);
  }

 private:
  /// Exchanges the counts. What comes from each rank is sorted by expert; arrival and
  /// departure lead from the order (rank, expert) to (expert, rank) and back.
  void meet(const at::Tensor& counts, at::Device device, Plan& plan) const {
    const int64_t ranks = group_.size(), mine = experts_ / ranks;
    const at::Tensor sent = counts.view({ranks, mine});
    const Rows one(static_cast<size_t>(ranks), 1);
    const at::Tensor received = exchange(sent, one, one);
    const auto sums = [](const at::Tensor& x) {
      const at::Tensor rows = x.sum(1, false, at::kLong);
      return Rows(rows.data_ptr<int64_t>(), rows.data_ptr<int64_t>() + rows.numel());
    };
    plan.sent = sums(sent);
    plan.received = sums(received);
    // First row of each (rank, expert) as it arrives, and sorted by expert.
    const auto firsts = [](const at::Tensor& x) {
      return (x.flatten().cumsum(0) - x.flatten()).view(x.sizes());
    };
    const at::Tensor arrived = firsts(received), sorted = firsts(received.t()).t();
    const int64_t rows =
        std::accumulate(plan.received.begin(), plan.received.end(), int64_t{0});
    plan.arrival_N = moved(received.t(), (arrived - sorted).t(), rows, device);
    plan.departure_N = moved(received, sorted - arrived, rows, device);
    plan.ends_E = received.sum(0).cumsum(0, at::kInt).to(device);
  }
};

/// `sent` and `received` count tokens here.
class AllGather : public Dispatcher {
 public:
  using Dispatcher::Dispatcher;

  Plan plan(const at::Tensor& experts_TK, Pairs) const override {
    Plan plan;
    const at::Tensor tokens = at::full({group_.size()}, experts_TK.size(0), at::kLong);
    const Rows one(static_cast<size_t>(group_.size()), 1);
    const at::Tensor all = exchange(tokens, one, one);
    plan.sent.assign(one.size(), experts_TK.size(0));
    plan.received.assign(all.data_ptr<int64_t>(), all.data_ptr<int64_t>() + all.numel());
    const int64_t mine = experts_ / group_.size();
    const at::Tensor local = from_all(experts_TK, plan) - group_.rank() * mine;
    const at::Tensor elsewhere = local.lt(0).logical_or(local.ge(mine));
    plan.permutation = kernels::permutation_by_expert(local.masked_fill(elsewhere, -1),
                                                      mine, Pairs::kOfHeldExperts);
    plan.ends_E = plan.permutation.ends_E;
    return plan;
  }

  at::Tensor dispatch(const at::Tensor& x_TH, const Plan& plan) const override {
    return kernels::gather_rows(from_all(x_TH, plan), plan.permutation.tokens_N);
  }

  at::Tensor combine(const at::Tensor& rows_NH, const Plan& plan) const override {
    return to_all(kernels::sum_rows(rows_NH, plan.permutation.rows_TK), plan);
  }

  at::Tensor dispatch_weights(const at::Tensor& weights_TK,
                              const Plan& plan) const override {
    return pick(from_all(weights_TK, plan), plan.permutation.pairs_N);
  }

  at::Tensor combine_weights(const at::Tensor& weights_N,
                             const Plan& plan) const override {
    return to_all(of_pairs(weights_N, plan.permutation.rows_TK), plan);
  }

 private:
  at::Tensor from_all(const at::Tensor& x, const Plan& plan) const {
    const at::Tensor copies = x.repeat({group_.size(), 1});
    return exchange(copies, plan.sent, plan.received);
  }

  /// Each rank's part of the sum over the ranks.
  at::Tensor to_all(const at::Tensor& partial, const Plan& plan) const {
    const at::Tensor parts = exchange(partial, plan.received, plan.sent);
    return parts.view({group_.size(), plan.sent.front(), partial.size(1)}).sum(0);
  }
};

}  // namespace

at::Tensor Dispatcher::exchange(const at::Tensor& x, const Rows& in_rows,
                                const Rows& out_rows) const {
  auto shape = x.sizes().vec();
  shape[0] = std::accumulate(out_rows.begin(), out_rows.end(), int64_t{0});
  at::Tensor out = at::empty(shape, x.options());
  const comm::Pending pending =
      group_.start_all_to_all(x.contiguous(), in_rows, out, out_rows);
  turns_.hand_over();
  pending->wait();
  return out;
}

std::unique_ptr<Dispatcher> make_dispatcher(DispatcherKind kind,
                                            comm::Communicator& group, int64_t experts,
                                            Turns& turns) {
  MT_CHECK(experts % group.size() == 0, experts, " experts over ", group.size(),
           " ranks");
  if (kind == DispatcherKind::kAllToAll || group.size() == 1)
    return std::make_unique<AllToAll>(group, experts, turns);
  return std::make_unique<AllGather>(group, experts, turns);
}

}  // namespace mtrain::nn
