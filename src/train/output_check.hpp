// Whether results can be written, found out without leaving anything behind.
#pragma once

#include <filesystem>

#include "mtrain/config/deck.hpp"

namespace mtrain::train {

/// Throws UserError when `dir` cannot be created or written: makes and removes a folder
/// in it, or in the nearest folder above it that exists.
void require_writable(const std::filesystem::path& dir);

/// Throws UserError when the results of a run in `dir` would overwrite the model it
/// starts from, or remove it.
void refuse_model_as_output(const config::Deck& deck, const std::filesystem::path& dir);

}  // namespace mtrain::train
