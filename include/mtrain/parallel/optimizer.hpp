// AdamW over the shards a rank owns: master weights, moments, gradient norm.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <vector>

#include "mtrain/kernels/optimizer.hpp"
#include "mtrain/parallel/data_parallel.hpp"

namespace mtrain::parallel {

struct AdamWOptions {
  double beta1, beta2, epsilon, weight_decay;
  double max_grad_norm;  ///< 0 for no clipping
};

/// What the ranks agree on after a step's backward, on the device: nobody waits for it to
/// start the update.
struct StepTotals {
  /// fp64: loss, sum of squares of the whole gradient, and what else was summed.
  at::Tensor values;
  /// Host copies; these wait for the device.
  double loss() const;
  double gradient_norm() const;
  /// Figure i of those summed beside the loss.
  double further(int64_t i) const;
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

  /// Sums over all ranks their shares of the loss and of further figures (fp64, the loss
  /// first) and of the squares of the total gradient, every distinct parameter of the
  /// model once. Collective over the world; call after GradientSync::finish.
  StepTotals totals(const at::Tensor& shares) const;

  /// One update with `learning_rate`, clipped by the norm (kernels::adamw_scalars); none
  /// where loss or norm are not finite. Writes the rank's shard of the weights;
  /// ParameterGather brings the others.
  void update(double learning_rate, const StepTotals& totals);

  /// Updates applied so far, for the bias correction. Reading it waits for the device.
  int64_t updates() const;
  void set_updates(int64_t updates);

  /// Copies the weights into the master weights (after loading or initialising a model).
  void reset_master();

  /// Bytes of master weights and moments on this rank.
  int64_t state_bytes() const;

  /// All state this rank owns, as boxes: what a checkpoint stores and restores. Tied
  /// copies and tensor-parallel replicas appear on one rank of each group only when
  /// `unique` is true.
  std::vector<StatePiece> pieces(bool unique) const;

 private:
  /// Elements [begin, end) of the flat buffers that this rank owns, and where their state
  /// begins.
  struct Shard {
    int64_t begin, end, state;
  };
  using Segments = std::vector<kernels::Segment>;
  void add_segments(const Bucket& bucket, const Shard& shard, Segments& all,
                    Segments& counted) const;
  bool counts(const Parameter& parameter) const;
  bool is_replica(const Bucket& bucket) const;
  void append_pieces(const Parameter& parameter, const Shard& shard, int64_t begin,
                     int64_t end, std::vector<StatePiece>& out) const;

  ParamBuffer& buffer_;
  const comm::ProcessGroups& groups_;
  DataParallelOptions sharding_;
  AdamWOptions options_;
  std::vector<Shard> shards_;  ///< one per bucket; their states lie one after the other
  std::optional<kernels::SegmentTable> segments_;  ///< one per parameter part
  std::optional<kernels::SegmentTable> counted_;   ///< this rank's share of the norm
  kernels::AdamWState state_;
  at::Tensor updates_;  ///< int64 [1] on the device
};

}  // namespace mtrain::parallel
