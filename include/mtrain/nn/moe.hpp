// Mixture-of-experts feed-forward layer: router, dispatch, experts, weighted sum.
#pragma once

#include <optional>

#include "mtrain/kernels/router.hpp"
#include "mtrain/nn/dispatcher.hpp"
#include "mtrain/nn/linear.hpp"
#include "mtrain/nn/micro_batch.hpp"

namespace mtrain::nn {

struct MoeParams {
  parallel::Parameter& router;  ///< [experts of the layer, H]
  parallel::Parameter&
      gate_up;                ///< [E, 2F, H]: each expert's gate rows, then its up rows
  parallel::Parameter& down;  ///< [E, H, F]
};

struct MoeOptions {
  kernels::RouterOptions router;
  /// kernels::limit_experts, over the tokens that a rank routes of a micro-batch.
  std::optional<double> capacity_factor;
  /// fp32 or fp64: of the router's products; their results are fp32 (as Megatron-LM's
  /// softmax takes and gives them).
  at::ScalarType router_dtype;
  /// Factor of the sum over layers of experts * sum_e f_e P_e, f_e the share of the
  /// (token, choice) pairs of a micro-batch that went to e, P_e its mean probability
  /// (Fedus et al., "Switch Transformers", 2022, eq. 4; per micro-batch as Megatron-LM).
  double balance_coefficient;
  /// Factor of the sum over layers of mean lse^2 (Zoph et al., "ST-MoE", 2022, eq. 5).
  double z_coefficient;
};

/// Where a layer's tokens and experts are.
struct ExpertPlacement {
  /// Ranks that hold parts of each expert; they see the same tokens.
  const TensorRegion& region;
  const Dispatcher& dispatcher;
  /// Ranks over which a micro-batch's tokens are spread when they are routed; null where
  /// each rank sees all of them.
  comm::Communicator* spread;
  /// Whether these ranks hold all tokens outside the layer, so that each takes its part
  /// and gathers the others'.
  bool takes_part;
};

/// What a layer adds up during the backward passes of a step, by index into a tensor of
/// fp64: the two losses (without factor) and the entropy of the probabilities, as means
/// over the tokens of a micro-batch and over micro-batches, then the (token, choice)
/// pairs dropped by full experts, then the tokens that chose each expert. Sums over all
/// ranks are those of the global batch.
struct RouterFigures {
  static constexpr int64_t kBalance = 0, kZ = 1, kEntropy = 2, kDropped = 3, kTokens = 4;
};

class Moe {
 public:
  /// `figures`: fp64 [RouterFigures::kTokens + experts of the layer].
  Moe(const MoeParams& params, const MoeOptions& options,
      const ExpertPlacement& placement, at::Tensor figures);

  struct Saved {
    kernels::Routing routing;
    Dispatcher::Plan plan;
    at::Tensor row_weights;
    // Made again in the backward where they were dropped.
    at::Tensor rows, gate_up;
  };

  at::Tensor forward(const at::Tensor& x, const MicroBatch& batch, Saved& saved) const;
  at::Tensor backward(const at::Tensor& dy, const at::Tensor& x, const MicroBatch& batch,
                      Saved& saved) const;
  /// Drops the experts' inputs and inner tensors, keeps the routing.
  static void drop_inner(Saved& saved) {
    saved.rows.reset();
    saved.gate_up.reset();
  }

 private:
  /// From outside the layer to the tokens this rank sees, and back.
  at::Tensor enter(const at::Tensor& x) const;
  at::Tensor leave(const at::Tensor& y) const;
  /// The tokens to route, of all that this rank sees.
  at::Tensor routed(const at::Tensor& inside, const MicroBatch& batch) const;
  at::Tensor logits(const at::Tensor& x) const;
  Dispatcher::Plan plan(const kernels::Routing& routing) const;
  void make_inner(const at::Tensor& x, Saved& saved) const;
  /// Backward of the experts: gradient of the routed tokens; fills that of the weights.
  at::Tensor experts_backward(const at::Tensor& dy, Saved& saved,
                              at::Tensor& dweights_TK) const;
  /// Adds to dx.
  void router_backward(const at::Tensor& dweights_TK, const at::Tensor& x,
                       const MicroBatch& batch, const kernels::Routing& routing,
                       at::Tensor& dx) const;
  kernels::RouterLossGrad router_losses(const kernels::Routing& routing,
                                        const MicroBatch& batch) const;
  /// Whether this rank's tokens count: of ranks that see the same, the first.
  bool counts() const { return placement_.region.group().rank() == 0; }

  MoeParams params_;
  MoeOptions options_;
  ExpertPlacement placement_;
  at::Tensor figures_;
};

}  // namespace mtrain::nn
