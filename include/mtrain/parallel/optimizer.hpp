// AdamW over the shards a rank owns: master weights, moments, gradient norm.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "mtrain/kernels/optimizer.hpp"
#include "mtrain/parallel/data_parallel.hpp"

namespace mtrain::parallel {

struct AdamWOptions {
  double beta1, beta2, epsilon, weight_decay;
  double max_grad_norm;  ///< 0 for no clipping
};

/// A contiguous piece of optimizer state and the box of the logical tensor it belongs to.
struct StatePiece {
  Box box;
  at::Tensor master, exp_avg, exp_avg_sq;  ///< fp32 views, box.extent
};

/// Optimizer of the parameters in `buffer`. With a distributed optimizer each
/// data-parallel rank holds master weights and moments of its shard only (Rajbhandari et
/// al., "ZeRO", stage 1).
class Optimizer {
 public:
  Optimizer(ParamBuffer& buffer, const comm::ProcessGroups& groups,
            const DataParallelOptions& sharding, const AdamWOptions& options);

  /// L2 norm of the total gradient over every distinct parameter of the model, in fp64.
  /// Collective over the world; call after GradientSync::finish.
  double gradient_norm() const;

  /// One update with `learning_rate`, clipped by `gradient_norm` (min(1, max / (norm +
  /// 1e-6)), as torch.nn.utils.clip_grad_norm_). `step` counts from 1. Writes the rank's
  /// shard of the weights; ParameterGather brings the others.
  void update(double learning_rate, double gradient_norm, int64_t step);

  /// Copies the weights into the master weights (after loading or initialising a model).
  void reset_master();

  /// All state this rank owns, as boxes: what a checkpoint stores and restores. Tied
  /// copies and tensor-parallel replicas appear on one rank of each group only when
  /// `unique` is true.
  std::vector<StatePiece> pieces(bool unique) const;

 private:
  struct Shard {
    int64_t begin, end;  ///< in the flat buffer
    at::Tensor master, exp_avg, exp_avg_sq, weight, grad;
    std::vector<kernels::Segment>
        segments;                           ///< one per parameter part, relative to begin
    std::vector<kernels::Segment> counted;  ///< what this rank adds to the gradient norm
  };
  Shard make_shard(const Bucket& bucket) const;
  bool counts(const Parameter& parameter) const;
  static void append_pieces(const Parameter& parameter, const Shard& shard, int64_t begin,
                            int64_t end, std::vector<StatePiece>& out);

  ParamBuffer& buffer_;
  const comm::ProcessGroups& groups_;
  DataParallelOptions sharding_;
  AdamWOptions options_;
  std::vector<Shard> shards_;
};

}  // namespace mtrain::parallel
