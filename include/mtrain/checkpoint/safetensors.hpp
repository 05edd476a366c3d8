// Hugging Face safetensors: reading a model folder, and writing one piece by piece from
// any number of ranks.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "mtrain/checkpoint/tensor_source.hpp"

namespace mtrain::checkpoint {

/// Opens a model folder (model.safetensors, or model.safetensors.index.json and its
/// shards) or a single .safetensors file. All headers are read and checked now, tensor
/// bytes only by read(). Throws UserError naming file, tensor and reason for anything
/// outside the format: damaged or oversized headers, holes, overlaps, shards or tensors
/// missing or named twice, shard names that leave the folder. Symbolic links are
/// followed.
std::unique_ptr<TensorSource> open_safetensors(const std::filesystem::path& path);

/// True when the folder holds model.safetensors or model.safetensors.index.json.
bool holds_safetensors(const std::filesystem::path& folder);

/// Writes a model folder. The files carry their final names only after commit(); until
/// then they are NAME.tmp beside them. One rank creates them, others may join after a
/// barrier and write pieces of their own, so no tensor is ever gathered:
///   rank 0: create(...); barrier; all: join(...), write(...), summary();
///   gather the summaries; rank 0: commit(summaries).
class SafetensorsWriter {
 public:
  /// Creates the temporary files of the planned tensors in `folder`, headers written, and
  /// opens them. Tensors fill shards of at most `max_shard_bytes` in the order given (a
  /// larger tensor has a shard of its own), named as transformers does. Throws Error
  /// naming path and errno.
  static SafetensorsWriter create(const std::filesystem::path& folder,
                                  const std::vector<TensorInfo>& planned,
                                  int64_t max_shard_bytes);
  /// Opens the temporary files that create() made with the same arguments on another
  /// rank.
  static SafetensorsWriter join(const std::filesystem::path& folder,
                                const std::vector<TensorInfo>& planned,
                                int64_t max_shard_bytes);
  SafetensorsWriter(SafetensorsWriter&&) noexcept;
  ~SafetensorsWriter();

  /// Writes one rectangle of a planned tensor; `data` is a contiguous CPU tensor of the
  /// planned dtype and the box's extent. Pieces may come in any order.
  void write(const parallel::Box& box, const at::Tensor& data);
  /// Flushes this rank's files to disk; returns what it wrote, for commit() on rank 0.
  std::string summary();
  /// Checks that the summaries of all ranks together cover every element of every planned
  /// tensor exactly once, then renames the files into place (older model files of the
  /// folder are replaced). Otherwise throws Error listing the tensors, and nothing is
  /// renamed. Returns the files' checksums, for write_side_files().
  std::string commit(const std::vector<std::string>& summaries);
  /// For a single rank: commit({summary()}).
  std::string finish();

 private:
  struct State;
  explicit SafetensorsWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace mtrain::checkpoint
