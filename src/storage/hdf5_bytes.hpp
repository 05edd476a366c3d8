// The bytes of an HDF5 file, under the rule that ends every walk over damaged structures:
// a byte belongs to one structure at most, so what refers to itself is met a second time.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "mtrain/base/error.hpp"

namespace mtrain::storage::hdf5 {

/// What HDF5 writes for "no address".
inline constexpr uint64_t kNowhere = UINT64_MAX;

/// Throws Error "damaged HDF5 file: WHAT".
[[noreturn]] void damaged(const std::string& what);

/// Little-endian fields from front to back; damaged() beyond the end.
class Fields {
 public:
  explicit Fields(std::string_view bytes) : bytes_(bytes) {}
  /// An unsigned number of 1 to 8 bytes.
  uint64_t number(size_t bytes);
  uint64_t address() { return number(8); }
  std::string_view take(uint64_t count);
  void skip(uint64_t count) { take(count); }
  size_t left() const { return bytes_.size(); }
  std::string_view rest() const { return bytes_; }

 private:
  std::string_view bytes_;
};

class Bytes {
 public:
  using ReadAt = std::function<void(int64_t at, void* to, size_t count)>;
  Bytes(int64_t size, ReadAt read) : size_(static_cast<uint64_t>(size)), read_(read) {}

  uint64_t size() const { return size_; }
  /// Bytes [at, at + count), without claiming them; damaged() outside the file.
  std::string peek(uint64_t at, uint64_t count, const char* what) const;
  /// The same; damaged() where one of them was claimed before. All memory for structures
  /// is asked for here, so together they take no more than the file's size.
  std::string claim(uint64_t at, uint64_t count, const char* what);
  /// A structure of the newer format: without its signature and the checksum at its end,
  /// both of which must be right.
  std::string claim_checked(uint64_t at, uint64_t count, const char* signature);

 private:
  uint64_t size_;
  ReadAt read_;
  std::map<uint64_t, uint64_t> claimed_;  ///< begin -> end, apart from each other
};

/// `signature` at the front of `bytes`; damaged() for another.
void expect_signature(Fields& fields, const char* signature);
/// The checksum at the end of `bytes` is that of the bytes before it, or damaged().
void check_sum(std::string_view bytes, const char* what);
/// `sum` is the checksum of `bytes`, or damaged().
void expect_sum(uint64_t sum, std::string_view bytes, const char* what);
/// The checksum of HDF5's metadata: Jenkins' lookup3 (hashlittle) with initial value 0.
uint32_t lookup3(std::string_view bytes);

}  // namespace mtrain::storage::hdf5
