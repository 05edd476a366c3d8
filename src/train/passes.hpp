// The forward passes of a step without gradients.
#pragma once

#include "batches.hpp"
#include "mtrain/comm/session.hpp"
#include "mtrain/config/deck.hpp"
#include "mtrain/models/model.hpp"

namespace mtrain::train {

/// Runs the batch forward through the pipeline; the model has its token losses then.
/// `gather` may be null. Collective over the model's ranks.
void run_forward(const config::Deck& deck, const comm::ProcessGroups& groups,
                 models::Model& model, const StepBatch& batch,
                 parallel::ParameterGather* gather);

}  // namespace mtrain::train
