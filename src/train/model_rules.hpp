// What a deck asks for and this model has no use for.
#pragma once

#include "mtrain/config/parse.hpp"
#include "mtrain/models/model.hpp"

namespace mtrain::train {

/// Warnings of keys that have no effect on this model, a line each.
std::vector<std::string> keys_without_effect(const config::ParsedDeck& parsed,
                                             const models::ModelConfig& config);

}  // namespace mtrain::train
