// What a layout means before anything runs: who holds what, and how many bytes.
#pragma once

#include <string>

#include "mtrain/config/deck.hpp"
#include "mtrain/models/model.hpp"

namespace mtrain::train {

/// One row per pipeline stage: layers, parameters and bytes per rank by owner, kept
/// micro-batches, and the pipeline bubble. Several lines, aligned.
std::string plan_text(const config::Deck& deck, const models::ModelConfig& config,
                      int world_size);

}  // namespace mtrain::train
