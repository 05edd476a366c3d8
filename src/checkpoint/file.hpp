// Files as this layer needs them: opened without following links, every failure named by
// path and errno, data forced to disk before a name is trusted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

namespace mtrain::checkpoint {

/// A descriptor that closes itself.
class File {
 public:
  /// A regular file to read. Throws UserError when it is missing, a link or no regular
  /// file.
  static File open_to_read(const std::filesystem::path& path);
  /// A new file; one of that name is removed first, never followed.
  static File create(const std::filesystem::path& path);
  /// An existing regular file to write into.
  static File open_to_write(const std::filesystem::path& path);

  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  ~File();

  const std::filesystem::path& path() const { return path_; }
  int64_t size() const;
  /// All `count` bytes at `position`; throws UserError when the file ends before.
  void read_at(int64_t position, void* data, size_t count) const;
  /// Bytes written by one call, as many as cp does. For larger ones the page cache takes
  /// larger pieces of memory, which a virtual machine may have given back to its host: a
  /// fifth of the speed.
  static constexpr size_t kBlock = 128 << 10;
  /// All bytes, retrying short writes. The kernel is told to begin to write them to disk,
  /// so that sync() has less to wait for.
  void write_at(int64_t position, const void* data, size_t count) const;
  void resize(int64_t size) const;
  void sync() const;

 private:
  File(int descriptor, std::filesystem::path path);

  int descriptor_;
  std::filesystem::path path_;
};

/// The whole of a regular file of at most `limit` bytes; UserError otherwise.
std::string read_text(const std::filesystem::path& path, int64_t limit);

/// True when something bears this name, be it a dangling link.
bool has_entry(const std::filesystem::path& path);

/// fsync of a directory, so that names created or renamed in it last.
void sync_directory(const std::filesystem::path& folder);
void rename_file(const std::filesystem::path& from, const std::filesystem::path& to);
/// Creates a directory unless there is one; a link in its place is refused.
void make_directory(const std::filesystem::path& folder);
/// Removes a file or link; nothing happens when there is none.
void remove_file(const std::filesystem::path& path);

}  // namespace mtrain::checkpoint
