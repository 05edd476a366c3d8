// Bringing tokens to the ranks of their experts, and the experts' outputs back.
// Legend: T tokens here, K choices of a token, N rows of this rank's experts, E experts
// of this rank, H hidden.
#pragma once

#include <memory>
#include <vector>

#include "mtrain/base/turns.hpp"
#include "mtrain/comm/communicator.hpp"
#include "mtrain/kernels/permute.hpp"

namespace mtrain::nn {

enum class DispatcherKind {
  kAllToAll,   ///< each token goes to the ranks of its experts only
  kAllGather,  ///< every rank gets all tokens and takes what is its experts'
};

/// `group` holds all experts of a layer between its ranks, rank r the r-th part. Sizes
/// are those of the tokens: nothing is padded, a rank may have none. All calls are
/// collective. They hand over to `turns` while an exchange is under way.
class Dispatcher {
 public:
  Dispatcher(comm::Communicator& group, int64_t experts, Turns& turns)
      : group_(group), experts_(experts), turns_(turns) {}
  virtual ~Dispatcher() = default;

  /// One micro-batch's way there and back, the same for activations and gradients.
  struct Plan {
    kernels::Permutation permutation;
    std::vector<int64_t> sent, received;  ///< by rank; unused in a group of one
    at::Tensor arrival_N;    ///< int32, received row of each row sorted by expert
    at::Tensor departure_N;  ///< its inverse
    at::Tensor ends_E;       ///< int32, rows of expert e: [ends[e-1], ends[e])
  };
  /// Pairs whose expert is negative go nowhere; `pairs` says whether there may be any.
  virtual Plan plan(const at::Tensor& experts_TK, kernels::Pairs pairs) const = 0;

  /// Rows of this rank's experts, sorted by expert.
  virtual at::Tensor dispatch(const at::Tensor& x_TH, const Plan& plan) const = 0;
  /// Sum of each token's rows over all experts: the transpose of dispatch.
  virtual at::Tensor combine(const at::Tensor& rows_NH, const Plan& plan) const = 0;
  /// One number per (token, choice), brought to its row.
  virtual at::Tensor dispatch_weights(const at::Tensor& weights_TK,
                                      const Plan& plan) const = 0;
  /// And back.
  virtual at::Tensor combine_weights(const at::Tensor& weights_N,
                                     const Plan& plan) const = 0;

  /// Whether all experts are here: dispatching again costs no communication.
  bool local() const { return group_.size() == 1; }

 protected:
  /// In a group of several: to rank r in_rows[r] rows of x.
  at::Tensor exchange(const at::Tensor& x, const std::vector<int64_t>& in_rows,
                      const std::vector<int64_t>& out_rows) const;

  comm::Communicator& group_;
  int64_t experts_;  ///< of the whole layer
  Turns& turns_;
};

std::unique_ptr<Dispatcher> make_dispatcher(DispatcherKind kind,
                                            comm::Communicator& group, int64_t experts,
                                            Turns& turns);

}  // namespace mtrain::nn
