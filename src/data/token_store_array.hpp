// The arrays of a token store: checked against their checksums as they are read.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "token_store_fence.hpp"

namespace mtrain::data {

class StoreArray {
 public:
  /// Opens dataset `name` of elements of 1, 4 or 8 bytes. The file must outlive it.
  StoreArray(StoreFile& file, const char* name, size_t element);

  const char* name() const { return name_; }
  int64_t size() const { return data_.size; }
  /// Pieces of `piece_bytes` that the array has.
  int64_t pieces(int64_t piece_bytes) const;

  /// From now on what is read must match these sums, one for each piece.
  void check_against(std::vector<int64_t> sums, int64_t piece_bytes);
  /// Elements [first, first + count) to `out`. UserError names the place where they
  /// can't be read or differ from their checksum.
  void read(int64_t first, int64_t count, void* out) const;
  /// All elements.
  template <class T>
  std::vector<T> read_all() const {
    std::vector<T> values(static_cast<size_t>(size()));
    read(0, size(), values.data());
    return values;
  }
  /// The sums of pieces of `piece_bytes`: those in the file, or of what is read.
  std::vector<int64_t> sums(int64_t piece_bytes) const;

 private:
  void read_pieces(int64_t first, int64_t count, void* out) const;

  std::string path_;
  const char* name_;
  int64_t element_;  ///< bytes
  FencedDataset data_;
  std::vector<int64_t> sums_;  ///< empty: unchecked
  int64_t piece_bytes_ = 0;
};

}  // namespace mtrain::data
