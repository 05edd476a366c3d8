// A user's file as one span of bytes, without reading it first.
#pragma once

#include <string>
#include <string_view>

namespace mtrain::data {

/// A read-only mapping of a whole file. Where the file is cut meanwhile, zeros are read.
class MappedFile {
 public:
  /// UserError with path and reason when the file can't be opened or is no regular file.
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::string_view bytes() const { return bytes_; }

 private:
  std::string_view bytes_;
};

}  // namespace mtrain::data
