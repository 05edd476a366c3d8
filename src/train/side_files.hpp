// The small files beside an exported model's weights: config, tokenizer, settings of
// generation.
#pragma once

#include <ATen/core/ScalarType.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model_files.hpp"
#include "mtrain/checkpoint/model_folder.hpp"
#include "mtrain/checkpoint/training_checkpoint.hpp"
#include "mtrain/config/deck.hpp"

namespace mtrain::train {

using SideFiles = std::vector<checkpoint::TextFile>;

/// Where the exported tokenizer comes from, and what training changed of it.
struct TokenizerOrigin {
  std::filesystem::path folder;  ///< may be empty
  /// The deck's template ("" for none); nothing where none was trained with.
  std::optional<std::string> template_name;
  std::optional<std::string> default_system;  ///< the deck's
  /// Whether the run prepares data with it, which tells its faults.
  bool prepares = false;
};

TokenizerOrigin tokenizer_origin(const config::Deck& deck);
/// The same as fields of a checkpoint, and back.
void note_tokenizer(const TokenizerOrigin& origin, checkpoint::TrainingState& state);
TokenizerOrigin tokenizer_origin(const checkpoint::TrainingState& state);

/// config.json in the published dialect, for weights of `dtype`; the tokenizer's files;
/// generation_config.json (the tokenizer's folder's, else made of the ids in
/// config.json). As LLaMA-Factory saves them, the template's stop word ends a text in all
/// of them, so that generation ends with the answer, and there is a chat template. What
/// users added to the files stays as they wrote it. UserError for a file that cannot be
/// read.
SideFiles side_files(const std::string& config_text, at::ScalarType dtype,
                     const TokenizerOrigin& tokenizer);

/// The same for a run of `deck` with this model.
SideFiles side_files(const config::Deck& deck, const ModelDescription& model);

}  // namespace mtrain::train
