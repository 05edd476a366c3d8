// Pipeline schedules as data: the list of operations of one stage, run by the executor,
// checked by tests and simulated by the plan.
#pragma once

#include <string>
#include <vector>

namespace mtrain::parallel {

/// Forward activations travel down the virtual stages, their gradients back up.
enum class Direction { kForward, kBackward };

struct Op {
  enum class Kind {
    kCompute,  ///< forward or backward of one chunk; waits for its own input's receive
    /// The same, in turns with the compute op that follows: each goes on while the other
    /// waits for an exchange.
    kComputeWithNext,
    kSend,     ///< starts sending the result of this pass
    kReceive,  ///< starts receiving the input of a later compute op
    kWait,     ///< waits for all sends started so far
  };
  Kind kind;
  Direction direction;
  int chunk;  ///< model chunk of this stage
  int micro_batch;

  bool computes() const {
    return kind == Kind::kCompute || kind == Kind::kComputeWithNext;
  }
  bool operator==(const Op&) const = default;
};
std::string to_string(const Op& op);

struct ScheduleShape {
  int stages;
  int chunks;  ///< model chunks per stage; 1 is plain 1F1B, more is interleaved
  int micro_batches;
  bool overlap_p2p;  ///< a receive starts one compute op early, else right before its own
  /// Forward and backward passes of the steady phase run in turns, in pairs. The warm-up
  /// is as long as it takes for the two of a pair not to depend on each other, on any
  /// stage; more micro-batches are kept for it (peak_in_flight).
  bool pairs = false;
};

/// One step of training on `stage`: 1F1B (Narayanan et al., "PipeDream-2BW", ICML 2021)
/// for one chunk, interleaved 1F1B (Narayanan et al., "Efficient large-scale language
/// model training on GPU clusters", SC 2021, section 2.2) for more, with Megatron-LM's
/// order and warm-up counts. Micro-batches need not be a multiple of the stages. Where
/// all forward passes run before the first backward there are no pairs.
std::vector<Op> training_schedule(const ScheduleShape& shape, int stage);

/// Forward passes only, for evaluation.
std::vector<Op> forward_schedule(const ScheduleShape& shape, int stage);

/// Where a transfer goes: the stage at the other end, or -1 at the ends of the pipeline.
int destination(const ScheduleShape& shape, int stage, int chunk, Direction direction);
int source(const ScheduleShape& shape, int stage, int chunk, Direction direction);

/// The largest number of (chunk, micro-batch) pairs whose forward has run and whose
/// backward has not, at any point of the list: the high-water mark of kept activations.
/// Passes that run in turns count as none: layer by layer, the forward pass keeps what
/// the backward pass gives up, but for a layer.
int peak_in_flight(const std::vector<Op>& ops);

}  // namespace mtrain::parallel
