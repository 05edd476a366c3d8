// Choosing the checkpoint to go on from.
#pragma once

#include <filesystem>
#include <optional>

#include "mtrain/comm/session.hpp"
#include "mtrain/config/deck.hpp"

namespace mtrain::train {

/// The checkpoint this start goes on from: the newest of the run's own in output_dir of
/// which every byte matches its checksum; damaged ones are passed over with a warning.
/// With "auto" every checkpoint there counts as its own, with overwrite_output_dir those
/// of the same run (same_run.hpp). "none" and a folder say where a run begins: its own
/// checkpoints are those that were written under the same word, and without them it
/// begins there. Collective: the ranks share the reading. Throws UserError when a named
/// one is damaged or absent, or when there are checkpoints and none of them is sound.
std::optional<std::filesystem::path> checkpoint_to_resume(const config::Deck& deck,
                                                          const comm::Session& session);

/// Throws UserError where the run would begin at a checkpoint that is none.
void check_named_checkpoint(const config::Deck& deck);

}  // namespace mtrain::train
