// Reading one rank's HDF5 file: fenced structure first, then plain bytes.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "manifest.hpp"
#include "mtrain/base/file.hpp"

namespace mtrain::checkpoint {

/// Attributes of the root group of a rank file, and of each dataset.
inline constexpr char kRankFileFormat[] = "mtrain-rank-file";

/// A rank file whose structure equals what the manifest says: size, CRC of everything but
/// the tensors' bytes, then what HDF5 programs see in it (hard links only, two levels,
/// contiguous little-endian datasets of float32 or uint16, no filters, no external
/// storage).
class OpenRankFile {
 public:
  /// Throws UserError naming file and dataset.
  OpenRankFile(const std::filesystem::path& folder, const RankFile& expected);

  /// Copies `part` (inside the stored box) to its place in `to_data`, the bytes of box
  /// `to`.
  void read(const StoredBox& stored, const parallel::Box& part, const parallel::Box& to,
            void* to_data) const;
  /// CRC-32C of the bytes of a stored box.
  uint32_t crc(const StoredBox& stored) const;

 private:
  File file_;
};

/// CRC-32C of the bytes of `file` outside the boxes, which are sorted by position.
uint32_t structure_crc(const File& file, const std::vector<StoredBox>& boxes);

/// CRC-32C of the bytes of a stored box.
uint32_t crc_of(const File& file, const StoredBox& stored);

/// Throws Error unless the HDF5 file holds exactly the boxes expected, in the allowed
/// form.
void check_structure(const File& file, const RankFile& expected);

}  // namespace mtrain::checkpoint
