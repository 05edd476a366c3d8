// What a layout means before anything runs: who holds what, and how many bytes.
#pragma once

#include <string>

#include "mtrain/config/deck.hpp"
#include "mtrain/models/model.hpp"
#include "mtrain/train/run.hpp"

namespace mtrain::train {

struct Plan {
  std::string text;  ///< several lines, aligned
  /// Where the fullest rank has more than the GPU: "needs 90 GiB of 76 GiB usable ...".
  std::string no_room;
};

/// One row per pipeline stage: layers, parameters and bytes per rank by owner, kept
/// micro-batches; then the pipeline bubble and, on GPUs, time and speed of a step, and
/// what would make it fit where it does not.
Plan make_plan(const config::Deck& deck, const models::ModelConfig& config,
               const PlanRequest& request);

/// The layouts for request.ranks GPUs that fit, fastest first.
std::string plan_search_text(const config::Deck& deck, const models::ModelConfig& config,
                             const PlanRequest& request);

}  // namespace mtrain::train
