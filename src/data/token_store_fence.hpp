// The fence around token stores from elsewhere: opens them without the HDF5 library and
// checks structure before any data is read.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "mtrain/storage/hdf5_file.hpp"

namespace mtrain::data {

/// Throws UserError "token store PATH: WHAT".
[[noreturn]] void refuse_store(const std::string& path, const std::string& what);

struct FencedDataset;

/// An open store. All faults are UserErrors that name the file. Once it is open, ranges
/// may be read by several threads.
class StoreFile {
 public:
  /// Opens a regular file and reads the root group; refuses any link in it that is not a
  /// hard one.
  explicit StoreFile(const std::string& path);
  ~StoreFile();
  StoreFile(const StoreFile&) = delete;
  StoreFile& operator=(const StoreFile&) = delete;

  const std::string& path() const { return path_; }
  int descriptor() const { return descriptor_; }
  bool has_dataset(const char* name) const { return find(name) != nullptr; }
  bool has_attribute(const char* name) const;
  /// A string attribute of the root group, or nothing found: "" with `required` false.
  std::string string_attribute(const char* name, bool required);
  int64_t integer_attribute(const char* name);
  /// Opens dataset `name` and refuses it unless it is one-dimensional, of signed integers
  /// of `bytes` bytes, contiguous or chunked without filters, in this file, and wholly
  /// stored. The file must outlive it.
  FencedDataset open_fenced(const char* name, size_t bytes);
  /// Bytes of the file; refuses it when it became shorter.
  void read_at(int64_t position, void* to, size_t count) const;

 private:
  const storage::Hdf5Link* find(const char* name) const;
  const storage::Hdf5Attribute& attribute(const char* name) const;
  template <class Call>
  auto guarded(const Call& call) const;

  std::string path_;
  int descriptor_ = -1;
  std::unique_ptr<storage::Hdf5File> file_;
  const storage::Hdf5Object* root_ = nullptr;
};

/// A one-dimensional dataset of signed integers that has passed the fence.
struct FencedDataset {
  const StoreFile* file = nullptr;
  const char* name = "";
  int64_t size = 0;
  bool is_big_endian = false;
  storage::Hdf5Column column;

  /// Elements [first, first + count), in this machine's order.
  void read(int64_t first, int64_t count, void* out) const;
};

}  // namespace mtrain::data
