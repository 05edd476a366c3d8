// Owns the summing of an array in pieces; called by the token store's writer and reader.
#include "piece_checksums.hpp"

#include <algorithm>

#include "mtrain/base/crc32c.hpp"

namespace mtrain::data {

void PieceChecksums::add(const void* data, size_t bytes) {
  const auto* at = static_cast<const char*>(data);
  while (bytes > 0) {
    const size_t count = std::min(bytes, piece_bytes_ - filled_);
    crc_ = crc32c(crc_, at, count);
    filled_ += count;
    at += count;
    bytes -= count;
    if (filled_ == piece_bytes_) end_piece();
  }
}

std::vector<int64_t> PieceChecksums::finish() {
  if (filled_ > 0) end_piece();
  return std::move(sums_);
}

void PieceChecksums::end_piece() {
  sums_.push_back(crc_);
  crc_ = 0;
  filled_ = 0;
}

}  // namespace mtrain::data
