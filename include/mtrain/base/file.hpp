// Files, one rule for what is read and one for what is written. Inputs are regular files,
// reached through links where the user's folders have them. Outputs are never written
// through a link. Every failure names path and errno.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace mtrain {

/// A descriptor that closes itself.
class File {
 public:
  /// A file of the user's to read; links are followed. Throws UserError when it is
  /// missing or no regular file: a pipe would be waited for, a device read without end.
  static File open_input(const std::filesystem::path& path);
  /// A file that a program of ours wrote, such as a checkpoint's; a link in its place is
  /// refused like what open_input() refuses.
  static File open_to_read(const std::filesystem::path& path);
  /// A new file; one of that name is removed first, never followed.
  static File create(const std::filesystem::path& path);
  /// An existing regular file to write into.
  static File open_to_write(const std::filesystem::path& path);
  /// A regular file to write behind its end, made where there is none.
  static File open_to_append(const std::filesystem::path& path);

  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  ~File();

  const std::filesystem::path& path() const { return path_; }
  /// For calls that this class has not; it stays ours.
  int descriptor() const { return descriptor_; }
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
  /// Appends to a file opened for that as much of `text` as can be written; returns its
  /// bytes, and why it is not all in `fault`.
  size_t append(std::string_view text, std::string& fault) const;
  void resize(int64_t size) const;
  void sync() const;

 private:
  File(int descriptor, std::filesystem::path path);
  static File open_regular(const std::filesystem::path& path, int extra_flags);
  void require_regular() const;

  int descriptor_;
  std::filesystem::path path_;
};

/// The whole of a file of at most `limit` bytes; UserError otherwise.
std::string read_text(const File& file, int64_t limit);

/// A file whole or not at all under its name: written beside it, forced to disk, renamed.
void write_file_atomically(const std::filesystem::path& path, std::string_view text);

/// True when something bears this name, be it a dangling link.
bool has_entry(const std::filesystem::path& path);

/// fsync of a directory, so that names created or renamed in it last.
void sync_directory(const std::filesystem::path& folder);
/// sync_directory() of the folder that `path` lies in.
void sync_parent(const std::filesystem::path& path);
void rename_file(const std::filesystem::path& from, const std::filesystem::path& to);
/// Creates a directory unless there is one; a link in its place is refused.
void make_directory(const std::filesystem::path& folder);
/// Removes a file or link; nothing happens when there is none.
void remove_file(const std::filesystem::path& path);

}  // namespace mtrain
