// The folder a run writes to.
#pragma once

#include <filesystem>
#include <optional>

#include "mtrain/config/deck.hpp"

namespace mtrain::train {

/// Whether the run that resumes from `checkpoint` is the one in `output_dir`.
bool continues_in(const std::filesystem::path& output_dir,
                  const std::optional<std::filesystem::path>& checkpoint);

/// Creates output_dir on one rank and checks that it can be written.
void make_output_dir(const std::filesystem::path& output_dir);

/// Makes an output_dir that is owned ready on one rank: refuses a folder that holds a
/// model or a run, unless that run `continues` or overwrite_output_dir is set, and
/// removes leftovers of interrupted saves. Removes no result: faults may still be found.
void prepare_output_dir(const config::Deck& deck, bool continues);

/// Removes checkpoints and logs of the run that is overwritten.
void remove_earlier_run(const std::filesystem::path& output_dir);

}  // namespace mtrain::train
