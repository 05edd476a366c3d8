// Owns the checked reading of a token store's arrays; called by its reader.
#include "token_store_array.hpp"

#include <algorithm>
#include <cstring>

#include "mtrain/base/crc32c.hpp"
#include "mtrain/base/error.hpp"
#include "piece_checksums.hpp"

namespace mtrain::data {

StoreArray::StoreArray(StoreFile& file, const char* name, size_t element)
    : path_(file.path()),
      name_(name),
      element_(static_cast<int64_t>(element)),
      data_(file.open_fenced(name, element)) {}

int64_t StoreArray::pieces(int64_t piece_bytes) const {
  const int64_t each = piece_bytes / element_;
  return (size() + each - 1) / each;
}

void StoreArray::check_against(std::vector<int64_t> sums, int64_t piece_bytes) {
  sums_ = std::move(sums);
  piece_bytes_ = piece_bytes;
}

void StoreArray::read(int64_t first, int64_t count, void* out) const {
  if (count == 0) return;
  if (sums_.empty()) return data_.read(first, count, out);
  const int64_t each = piece_bytes_ / element_;
  const int64_t begin = first / each * each;
  const int64_t end = std::min((first + count + each - 1) / each * each, size());
  if (begin == first && end == first + count) return read_pieces(first, count, out);
  std::vector<char> whole(static_cast<size_t>((end - begin) * element_));
  read_pieces(begin, end - begin, whole.data());
  std::memcpy(out, whole.data() + (first - begin) * element_,
              static_cast<size_t>(count * element_));
}

// `first` begins a piece, and the last one is read to its end.
void StoreArray::read_pieces(int64_t first, int64_t count, void* out) const {
  data_.read(first, count, out);
  const int64_t each = piece_bytes_ / element_;
  for (int64_t at = 0; at < count; at += each) {
    const int64_t length = std::min(each, count - at);
    const uint32_t crc = crc32c(0, static_cast<const char*>(out) + at * element_,
                                static_cast<size_t>(length * element_));
    if (crc == sums_[static_cast<size_t>((first + at) / each)]) continue;
    refuse_store(path_, cat("elements ", first + at, " to ", first + at + length - 1,
                            " of ", name_,
                            " do not match their checksum: the file was damaged or "
                            "changed since it was written"));
  }
}

std::vector<int64_t> StoreArray::sums(int64_t piece_bytes) const {
  if (piece_bytes == piece_bytes_) return sums_;
  PieceChecksums sums(static_cast<size_t>(piece_bytes));
  const int64_t each = piece_bytes / element_;
  std::vector<char> piece(static_cast<size_t>(piece_bytes));
  for (int64_t at = 0; at < size(); at += each) {
    const int64_t count = std::min(each, size() - at);
    read(at, count, piece.data());
    sums.add(piece.data(), static_cast<size_t>(count * element_));
  }
  return sums.finish();
}

}  // namespace mtrain::data
