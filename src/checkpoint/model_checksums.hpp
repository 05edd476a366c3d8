// mtrain_checksums.json: the checksums of an exported model's files.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "mtrain/parallel/box.hpp"

namespace mtrain::checkpoint {

/// A rectangle of a tensor as one call wrote it.
struct PartSum {
  parallel::Box box;
  uint32_t crc;  ///< CRC-32C of the rectangle's bytes, row-major
};

struct ShardSum {
  std::string name;
  int64_t bytes;
  int64_t header_bytes;  ///< length prefix, JSON and padding
  uint32_t header_crc;
  std::vector<PartSum> parts;  ///< every element of the shard once
};

struct FileSum {
  std::string name;
  int64_t bytes;
  uint32_t crc;
};

struct ModelSums {
  std::vector<FileSum> files;
  std::vector<ShardSum> shards;
};

FileSum sum_of(const std::string& name, const std::string& text);

/// What a rank wrote, as the text ranks exchange, and back.
std::string parts_text(const std::vector<PartSum>& parts);
std::vector<PartSum> parts_of_text(const std::string& text);

/// The text of mtrain_checksums.json, and back. UserError naming `where` for anything but
/// such a file.
std::string checksums_text(const ModelSums& sums);
ModelSums parse_checksums(const std::string& text, const std::string& where);

}  // namespace mtrain::checkpoint
