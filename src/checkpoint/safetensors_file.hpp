// One .safetensors file: its checked header, and reading rectangles of its tensors.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "mtrain/base/file.hpp"
#include "mtrain/checkpoint/tensor_source.hpp"

namespace mtrain::checkpoint {

class SafetensorsFile {
 public:
  struct Entry {
    TensorInfo info;
    int64_t begin, end;  ///< bytes from the start of the data
  };

  /// Reads and checks the header. Throws UserError naming file, tensor and reason.
  explicit SafetensorsFile(const std::filesystem::path& path);

  /// In the order of the data.
  const std::vector<Entry>& entries() const { return entries_; }
  const std::filesystem::path& path() const { return file_.path(); }
  /// Copies the box to `out`.
  void read(const Entry& entry, const parallel::Box& box, void* out) const;

 private:
  File file_;
  int64_t data_begin_ = 0;
  std::vector<Entry> entries_;
};

/// "model-00001-of-00004.safetensors" or "model.safetensors" for a single file.
std::string shard_name(int64_t index, int64_t count);

inline constexpr char kSingleFile[] = "model.safetensors";
inline constexpr char kIndexFile[] = "model.safetensors.index.json";

}  // namespace mtrain::checkpoint
