// Gradient reduction and parameter gathering over the data-parallel ranks, bucket by
// bucket.
#pragma once

#include <vector>

#include "mtrain/comm/session.hpp"
#include "mtrain/parallel/param_buffer.hpp"

namespace mtrain::parallel {

struct DataParallelOptions {
  bool sharded;  ///< distributed optimizer: each rank owns 1/dp of every bucket
  bool overlap_grad_reduce;   ///< reduce a bucket as soon as its last gradient is there
  bool overlap_param_gather;  ///< gather a bucket until its first use instead of at once
};

/// Sums gradients. Order of calls in a step: begin_step, ready(p) once per parameter
/// after its last backward, finish. Losses are scaled by the global token count
/// beforehand, so nothing is averaged here.
class GradientSync {
 public:
  GradientSync(ParamBuffer& buffer, const comm::ProcessGroups& groups,
               const DataParallelOptions& options);

  void begin_step();
  /// The parameter's gradient of this step is complete on this rank.
  void ready(Parameter& parameter);
  /// Collective. Afterwards the rank's shard of every bucket holds the total gradient:
  /// summed over data-parallel ranks, over the two copies of tied embeddings, and over
  /// tensor-parallel ranks for parameters of role kPartial.
  void finish();

 private:
  void start_reduce(size_t bucket);
  void sum_tied_copies();
  void sum_partial_gradients();

  ParamBuffer& buffer_;
  const comm::ProcessGroups& groups_;
  DataParallelOptions options_;
  std::vector<size_t> missing_;  ///< parameters not ready yet, per bucket
  std::vector<bool> started_;
  std::vector<comm::Pending> pending_;
};

/// Gathers updated weights from their shards.
class ParameterGather {
 public:
  ParameterGather(ParamBuffer& buffer, const comm::ProcessGroups& groups,
                  const DataParallelOptions& options);

  /// Collective. Starts gathering all buckets, first used first; waits unless
  /// overlapping.
  void start();
  /// Returns when the parameter's weight is complete. Every layer asks before its first
  /// use.
  void require(const Parameter& parameter);
  void require_all();

 private:
  ParamBuffer& buffer_;
  const comm::ProcessGroups& groups_;
  DataParallelOptions options_;
  std::vector<comm::Pending> pending_;
};

/// The ranks that hold the parameters of `bucket` alike and each have a part of their
/// gradient.
comm::Communicator& holders(const Bucket& bucket, const comm::ProcessGroups& groups);

/// The shard of `bucket` this rank owns under these options.
ShardRange owned_range(const Bucket& bucket, const comm::ProcessGroups& groups,
                       const DataParallelOptions& options);

}  // namespace mtrain::parallel
