// CRC-32C of an array in pieces of equal size, as a token store keeps them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace mtrain::data {

/// Sums up an array that comes bit by bit. The last piece may be shorter.
class PieceChecksums {
 public:
  explicit PieceChecksums(size_t piece_bytes) : piece_bytes_(piece_bytes) {}

  void add(const void* data, size_t bytes);
  /// The sums of all pieces; nothing can be added afterwards.
  std::vector<int64_t> finish();

 private:
  void end_piece();

  size_t piece_bytes_;
  size_t filled_ = 0;  ///< bytes of the piece under way
  uint32_t crc_ = 0;
  std::vector<int64_t> sums_;
};

}  // namespace mtrain::data
