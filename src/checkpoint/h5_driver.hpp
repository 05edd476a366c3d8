// An HDF5 file driver over our own File. HDF5 1.10 crashes or hangs at exit after a write
// or read failed inside it; with this driver it never sees a failure, and we see it with
// path and errno.
#pragma once

#include <exception>
#include <filesystem>

#include "h5.hpp"
#include "mtrain/base/file.hpp"

namespace mtrain::checkpoint::h5 {

/// A new HDF5 file. After any call into HDF5 for it, check() tells whether its bytes
/// arrived.
class HostedFile {
 public:
  /// Throws Error naming path and errno.
  explicit HostedFile(const std::filesystem::path& path);
  HostedFile(const HostedFile&) = delete;
  HostedFile& operator=(const HostedFile&) = delete;

  hid_t id() const { return handle_.get(); }
  /// Throws the first failure of the storage so far, if any.
  void check() const;
  /// Closes the file for HDF5 and throws the first failure.
  void close();
  /// The bytes; those of datasets may be written past HDF5 at any time.
  const File& bytes() const { return file_; }

  /// For the driver's callbacks: runs a transfer, remembers its failure, does nothing
  /// after one.
  template <class Transfer>
  void attempt(const Transfer& transfer) {
    if (failure_) return;
    try {
      transfer(file_);
    } catch (...) {
      failure_ = std::current_exception();
    }
  }

 private:
  File file_;
  std::exception_ptr failure_;
  Handle<H5FDunregister> driver_;
  FileHandle handle_;
};

}  // namespace mtrain::checkpoint::h5
