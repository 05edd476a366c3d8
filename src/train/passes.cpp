// Runs forward schedules; used by evaluation and by the reference of preference training.
#include "passes.hpp"

#include "layout.hpp"

namespace mtrain::train {

void run_forward(const config::Deck& deck, const comm::ProcessGroups& groups,
                 models::Model& model, const StepBatch& batch,
                 parallel::ParameterGather* gather) {
  model.start_step(batch.micro_batches, false, nullptr, gather);
  const auto shape = schedule_shape(deck, static_cast<int>(batch.micro_batches.size()));
  parallel::run_schedule(parallel::forward_schedule(shape, groups.pipeline->rank()),
                         shape, model, *groups.pipeline, *groups.activity);
}

}  // namespace mtrain::train
