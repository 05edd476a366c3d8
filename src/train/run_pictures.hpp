// The pictures of a run, drawn from what its log holds.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "router_log.hpp"

namespace mtrain::train {

/// Bytes a trainer_log.jsonl may have.
constexpr int64_t kLongestLog = int64_t{1} << 32;

/// Draws training_loss.svg of trainer_log.jsonl and, where there is a report,
/// moe_load.svg of it, into `output_dir`.
void draw_pictures(const std::filesystem::path& output_dir,
                   const std::optional<RouterReport>& router);

}  // namespace mtrain::train
