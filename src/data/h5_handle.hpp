// Owning handles for HDF5 identifiers, and the one way its failures become errors.
#pragma once

#include <hdf5.h>

#include <string>
#include <utility>

namespace mtrain::data {

/// Closes an HDF5 identifier with the function given at construction. A negative id is
/// "none".
class H5Handle {
 public:
  using Closer = herr_t (*)(hid_t);
  H5Handle() = default;
  H5Handle(hid_t id, Closer closer) : id_(id), closer_(closer) {}
  ~H5Handle() { reset(); }
  H5Handle(H5Handle&& other) noexcept
      : id_(std::exchange(other.id_, -1)), closer_(other.closer_) {}
  H5Handle& operator=(H5Handle&& other) noexcept {
    reset();
    id_ = std::exchange(other.id_, -1);
    closer_ = other.closer_;
    return *this;
  }

  hid_t get() const { return id_; }
  bool valid() const { return id_ >= 0; }
  /// Closes now; false when HDF5 reports a failure (a file may flush here).
  bool close();

 private:
  void reset() { (void)close(); }

  hid_t id_ = -1;
  Closer closer_ = nullptr;
};

/// While alive, HDF5 prints nothing and loads no plug-in: failures are reported by
/// us.
class H5Quiet {
 public:
  H5Quiet();
  ~H5Quiet();
  H5Quiet(const H5Quiet&) = delete;
  H5Quiet& operator=(const H5Quiet&) = delete;

 private:
  H5E_auto2_t printer_ = nullptr;
  void* client_ = nullptr;
};

/// The innermost message on HDF5's error stack, such as "file has been truncated"; "" for
/// none.
std::string h5_last_error();

}  // namespace mtrain::data
