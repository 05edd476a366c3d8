// Names and constants of the token store's file format, shared by reader and writer.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace mtrain::data::store {

inline constexpr const char* kFormatName = "mtrain-tokens";
inline constexpr int64_t kVersion = 1;

inline constexpr const char* kFormat = "format";
inline constexpr const char* kVersionAttribute = "version";
inline constexpr const char* kStage = "stage";
inline constexpr const char* kSourceHash = "source_hash";
inline constexpr const char* kPieceBytes = "crc32c_bytes";

inline constexpr const char* kInputIds = "input_ids";
inline constexpr const char* kLabels = "labels";
inline constexpr const char* kSampleOffsets = "sample_offsets";
inline constexpr const char* kRowOffsets = "row_offsets";
inline constexpr const char* kSettings = "settings";
inline constexpr const char* kChecksums = "crc32c";

/// Bytes of an array under one checksum: a sample is read with the pieces it lies in, so
/// they are not much longer than samples are.
inline constexpr int64_t kPiece = 1 << 16;
inline constexpr int64_t kLongestPiece = 1 << 24;  ///< of stores by other programs
inline constexpr int64_t kLongestSettings = 1 << 20;

/// Words of the attribute `stage`, in the order of enum Stage.
inline constexpr auto kStageNames = std::to_array<std::string_view>({"pt", "sft", "dpo"});

}  // namespace mtrain::data::store
