// Names of checkpoint folders.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace mtrain::checkpoint {

/// OUTPUT_DIR/checkpoint-STEP
std::filesystem::path checkpoint_folder(const std::filesystem::path& output_dir,
                                        int64_t step);
/// OUTPUT_DIR/checkpoint-STEP.tmp
std::filesystem::path temporary_folder(const std::filesystem::path& output_dir,
                                       int64_t step);
/// The step of a name "checkpoint-STEP" + suffix, as checkpoint_folder would write it.
std::optional<int64_t> step_of(const std::string& name, const std::string& suffix);

}  // namespace mtrain::checkpoint
