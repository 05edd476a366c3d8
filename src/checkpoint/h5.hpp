// HDF5 handles that close themselves, and failures with the library's own reason.
#pragma once

#include <hdf5.h>

#include <string>
#include <utility>
#include <vector>

#include "mtrain/base/error.hpp"

namespace mtrain::checkpoint::h5 {

/// Owns one identifier; `Close` is the library's function for its kind.
template <herr_t (*Close)(hid_t)>
class Handle {
 public:
  explicit Handle(hid_t id) : id_(id) {}
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, H5I_INVALID_HID)) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(id_, other.id_);
    return *this;
  }
  ~Handle() {
    if (id_ >= 0) Close(id_);
  }
  hid_t get() const { return id_; }
  bool valid() const { return id_ >= 0; }
  /// Closes now, where the result matters.
  herr_t close() { return Close(std::exchange(id_, H5I_INVALID_HID)); }

 private:
  hid_t id_;
};

using FileHandle = Handle<H5Fclose>;
using GroupHandle = Handle<H5Gclose>;
using DatasetHandle = Handle<H5Dclose>;
using SpaceHandle = Handle<H5Sclose>;
using TypeHandle = Handle<H5Tclose>;
using AttributeHandle = Handle<H5Aclose>;
using PropertyHandle = Handle<H5Pclose>;

/// Keeps the library from printing its error stack while in scope, and from loading
/// plug-ins from now on.
class Quiet {
 public:
  Quiet();
  ~Quiet();
  Quiet(const Quiet&) = delete;
  Quiet& operator=(const Quiet&) = delete;

 private:
  H5E_auto2_t print_ = nullptr;
  void* data_ = nullptr;
};

/// The innermost message of the library's error stack: the cause, errno included.
std::string last_error();

/// `id` (any non-negative result), or Error "cannot WHAT: cause".
template <class Result>
Result checked(Result id, const std::string& what) {
  if (id < 0) throw Error(cat("cannot ", what, ": ", last_error()));
  return id;
}

/// Attributes: 64-bit integers (a list, or one number) and fixed-length strings.
void write_attribute(hid_t object, const char* name, const std::vector<int64_t>& values);
void write_attribute(hid_t object, const char* name, int64_t value);
void write_attribute(hid_t object, const char* name, const std::string& value);

/// Simple dataspace of these extents; a scalar one for none.
SpaceHandle make_space(const std::vector<int64_t>& extents);

}  // namespace mtrain::checkpoint::h5
