// Runs a pipeline schedule: compute ops on a model, transfers on the pipeline group.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "mtrain/base/activity.hpp"
#include "mtrain/base/turns.hpp"
#include "mtrain/comm/communicator.hpp"
#include "mtrain/parallel/schedule.hpp"

namespace mtrain::parallel {

/// What the executor drives: the chunks of one pipeline stage.
class PipelineModel {
 public:
  virtual ~PipelineModel() = default;
  /// Hidden states for the next virtual stage. `input` is undefined on the first virtual
  /// stage; the result is undefined on the last, which keeps its loss.
  virtual at::Tensor forward(int chunk, int micro_batch, const at::Tensor& input) = 0;
  /// Gradient for the virtual stage before; the reverse of forward in what is undefined.
  virtual at::Tensor backward(int chunk, int micro_batch, const at::Tensor& grad) = 0;
  /// An uninitialised tensor of the hidden states' shape and dtype for this micro-batch.
  /// Sender and receiver know it alike, so shapes are never exchanged.
  virtual at::Tensor empty_activation(int micro_batch) const = 0;

  /// What a pass hands over to before it waits for an exchange it has started.
  Turns& turns() { return turns_; }

 private:
  Turns turns_;
};

/// Runs all ops of this stage, in order, and tells `activity` of each. Returns when all
/// are complete and all sends received.
void run_schedule(const std::vector<Op>& ops, const ScheduleShape& shape,
                  PipelineModel& model, comm::Communicator& pipeline, Activity& activity);

}  // namespace mtrain::parallel
