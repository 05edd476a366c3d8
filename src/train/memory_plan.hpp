// Bytes of a rank by owner: planned from deck and model, or with what is allocated.
#pragma once

#include <string>
#include <vector>

#include "mtrain/config/deck.hpp"
#include "mtrain/models/model.hpp"

namespace mtrain::train {

/// What a rank of pipeline stage `stage` holds of activations at its fullest moment, when
/// micro-batches have `tokens` tokens: one item per kind, and the workspace.
std::vector<models::MemoryItem> activation_plan(const config::Deck& deck,
                                                const models::ModelConfig& config,
                                                int stage, int64_t tokens,
                                                at::Device device);

/// Aligned lines "  weights   3.20 GiB", largest first, and their sum.
std::string memory_table(std::vector<models::MemoryItem> items);

}  // namespace mtrain::train
