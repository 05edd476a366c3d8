// Choosing the checkpoint to go on from.
#pragma once

#include <filesystem>
#include <optional>

#include "mtrain/comm/session.hpp"
#include "mtrain/config/deck.hpp"

namespace mtrain::train {

/// The checkpoint the deck asks to resume from: none, a folder, or for "auto" the newest
/// in output_dir of which every byte matches its checksum; damaged ones are passed over
/// with a warning. Collective: the ranks share the reading. Throws UserError when a named
/// one is damaged or absent, or when there are checkpoints and none of them is sound.
std::optional<std::filesystem::path> checkpoint_to_resume(const config::Deck& deck,
                                                          const comm::Session& session);

}  // namespace mtrain::train
