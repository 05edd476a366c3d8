// The pictures of a run, drawn from what its log holds.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "router_log.hpp"

namespace mtrain::train {

/// Draws training_loss.svg of trainer_log.jsonl and, where there is a report,
/// moe_load.svg of it, into `output_dir`.
void draw_pictures(const std::filesystem::path& output_dir,
                   const std::optional<RouterReport>& router);

}  // namespace mtrain::train
