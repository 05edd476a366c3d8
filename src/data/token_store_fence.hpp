// The fence around HDF5 files from elsewhere: opens them and checks structure before any
// data is read.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "h5_handle.hpp"

namespace mtrain::data {

/// Throws UserError "token store PATH: WHAT".
[[noreturn]] void refuse_store(const std::string& path, const std::string& what);

/// Opens an HDF5 file for reading, without locks (read-only file systems have none).
H5Handle open_store_file(const std::string& path);

/// HDF5 itself can crash on damaged files of its old format, which has no checksums. For
/// those, runs `open` in a child process first; UserError when the child does not survive
/// it.
void probe_old_format(const std::string& path, const std::function<void()>& open);

/// Refuses any soft, external or user-defined link in the root group.
void require_hard_links(hid_t file, const std::string& path);

/// A one-dimensional dataset of signed integers that has passed the fence.
struct FencedDataset {
  H5Handle dataset;
  int64_t size = 0;
};

/// Opens dataset `name` and refuses it unless it is one-dimensional, of signed integers
/// of `bytes` bytes, contiguous or chunked without filters, in this file, and wholly
/// stored.
FencedDataset open_fenced(hid_t file, const std::string& path, const char* name,
                          size_t bytes);

/// Reads elements [first, first + count) as the native type `memory_type` into `out`.
void read_range(const FencedDataset& data, const std::string& path, const char* name,
                hid_t memory_type, int64_t first, int64_t count, void* out);

/// A string attribute of the root group, or nothing found: "" with `required` false.
std::string read_string_attribute(hid_t file, const std::string& path, const char* name,
                                  bool required);
int64_t read_integer_attribute(hid_t file, const std::string& path, const char* name);

}  // namespace mtrain::data
