// Moving tensors from any source to any sink in bounded memory, and the files beside
// them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "mtrain/checkpoint/tensor_source.hpp"

namespace mtrain::checkpoint {

/// Copies the tokenizer and generation files a model folder may have (tokenizer.json,
/// tokenizer_config.json, vocab.json, merges.txt, special_tokens_map.json,
/// added_tokens.json, chat_template.jinja, generation_config.json) where present; returns
/// their names. Written under a temporary name and renamed. Copying a folder onto itself
/// does nothing.
std::vector<std::string> copy_tokenizer_files(const std::filesystem::path& from,
                                              const std::filesystem::path& to);

/// The names of those files in a folder; each is read. UserError for one that cannot be.
std::vector<std::string> readable_tokenizer_files(const std::filesystem::path& folder);

/// Rectangles that cover a tensor in row-major order, each of at most `max_elements`
/// elements and contiguous in the tensor.
std::vector<parallel::Box> chunks_of(const TensorInfo& tensor, int64_t max_elements);

using PieceSink = std::function<void(const parallel::Box&, const at::Tensor&)>;

struct ConvertOptions {
  int rank;  ///< this rank handles every world-th chunk
  int world;
  int64_t chunk_bytes;  ///< the largest piece held in memory, in bytes of the wider dtype
  std::function<void(int64_t done, int64_t total)>
      progress;  ///< bytes of all ranks; may be empty
};

/// Reads each planned tensor from `from` in chunks, casts it to the planned dtype (round
/// to nearest even) and gives it to `sink`. Throws UserError when a tensor is missing or
/// of another shape; all of these are listed at once, before anything is read.
void convert(const TensorSource& from, const std::vector<TensorInfo>& plan,
             const ConvertOptions& options, const PieceSink& sink);

}  // namespace mtrain::checkpoint
