// Owns the mapping of dataset files into memory; called by the record files and the
// source hash.
#include "mapped_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "mtrain/base/error.hpp"

namespace mtrain::data {

MappedFile::MappedFile(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) throw UserError(cat("cannot open ", path, ": ", std::strerror(errno)));
  struct stat status {};
  const bool known = ::fstat(file, &status) == 0;
  const auto size = static_cast<size_t>(known ? status.st_size : 0);
  void* data = nullptr;
  if (known && S_ISREG(status.st_mode) && size > 0)
    data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0);
  const int error = errno;
  ::close(file);
  if (!known || !S_ISREG(status.st_mode))
    throw UserError(cat(path, S_ISDIR(status.st_mode) ? " is a folder, not a file"
                                                      : " is no regular file"));
  if (data == MAP_FAILED)
    throw UserError(cat("cannot read ", path, ": ", std::strerror(error)));
  if (data != nullptr) bytes_ = {static_cast<const char*>(data), size};
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : bytes_(std::exchange(other.bytes_, {})) {}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<char*>(bytes_.data()), bytes_.size());
}

}  // namespace mtrain::data
