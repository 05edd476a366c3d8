// What a layout means before anything runs: who holds what, and how many bytes.
#pragma once

#include <string>

#include "mtrain/config/deck.hpp"
#include "mtrain/models/model.hpp"

namespace mtrain::train {

/// One row per pipeline stage: layers, parameters and bytes per rank by owner, kept
/// micro-batches; then the pipeline bubble and, on GPUs of that name, time and speed of a
/// step, and what would help where the run does not fit. Several lines, aligned.
std::string plan_text(const config::Deck& deck, const models::ModelConfig& config,
                      int world_size, const std::string& gpu);

/// The layouts for so many GPUs that fit, fastest first.
std::string plan_search_text(const config::Deck& deck, const models::ModelConfig& config,
                             int gpus, const std::string& gpu);

}  // namespace mtrain::train
