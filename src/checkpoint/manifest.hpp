// What manifest.json says: state, files, and every stored box with its place and
// checksum.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "mtrain/checkpoint/training_checkpoint.hpp"
#include "mtrain/parallel/box.hpp"

namespace mtrain::checkpoint {

inline constexpr int kSchemaVersion = 1;
inline constexpr char kManifestFile[] = "manifest.json";
inline constexpr char kDeckFile[] = "deck.ini";

/// One dataset of a rank file.
struct StoredBox {
  std::string group;
  parallel::Box box;
  at::ScalarType dtype;
  int64_t position;  ///< first byte in the file; the bytes lie contiguous
  uint32_t crc;      ///< CRC-32C of the bytes

  int64_t bytes() const;
};

/// One rank file.
struct RankFile {
  int64_t step;
  int rank, world;
  int64_t bytes;
  uint32_t structure_crc;        ///< CRC-32C of all bytes outside the datasets
  std::vector<StoredBox> boxes;  ///< by position

  std::string name() const;
};

struct Manifest {
  TrainingState state;
  std::vector<RankFile> files;  ///< files[r] is rank r's
  int64_t deck_bytes;
  uint32_t deck_crc;
};

/// "rank-00003.h5"
std::string rank_file_name(int rank);

/// HDF5 path of a stored box in its file: "/GROUP/TENSOR@OFFSET,OFFSET".
std::string dataset_name(const parallel::Box& box);

nlohmann::json to_json(const RankFile& file);
/// Checks every field: ranges, positions inside the file and apart from each other.
RankFile rank_file_from_json(const nlohmann::json& value);

/// The text of manifest.json; its last field is the CRC-32C of the text with that field
/// zero.
std::string manifest_text(const Manifest& manifest);
/// Throws UserError naming `path` for anything but an intact manifest of this version.
Manifest parse_manifest(const std::string& text, const std::string& path);

}  // namespace mtrain::checkpoint
