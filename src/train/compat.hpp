// What `compat = mca` changes beside shuffle and loss_average, which the deck derives.
#pragma once

#include <optional>
#include <string>

#include "batches.hpp"
#include "mtrain/config/deck.hpp"

namespace mtrain::train {

/// The padding of LLaMA-Factory's Megatron path; none without `compat = mca`. Reads the
/// padding token from the tokenizer beside the model; without one it is id 0.
std::optional<Padding> compat_padding(const config::Deck& deck);

/// One line for people: order, loss and padding of the run, and why.
std::string describe_compat(const config::Deck& deck,
                            const std::optional<Padding>& padding);

}  // namespace mtrain::train
