// System calls behind checked wrappers; every reader and writer of files goes through
// them.
#include "mtrain/base/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "mtrain/base/error.hpp"

namespace mtrain {
namespace {

/// What the kernel is told to begin to write to disk at a time.
constexpr int64_t kStretch = int64_t{4} << 20;

std::string reason(int code) {
  return cat(std::strerror(code), " (errno ", code, ")");
}

Error failure(const char* verb, const std::filesystem::path& path, int code) {
  const bool full = code == ENOSPC || code == EDQUOT;
  return Error(cat("cannot ", verb, " ", path.string(), ": ", reason(code)),
               full ? "free some space, or write to another file system"
                    : "check the file system and your right to write there");
}

[[noreturn]] void fail(const char* verb, const std::filesystem::path& path, int code) {
  throw failure(verb, path, code);
}

/// Repeats a call that a signal interrupted.
template <class Call>
auto retried(const Call& call) {
  decltype(call()) result;
  do result = call();
  while (result < 0 && errno == EINTR);
  return result;
}

}  // namespace

File::File(int descriptor, std::filesystem::path path)
    : descriptor_(descriptor), path_(std::move(path)) {}

File::File(File&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), path_(std::move(other.path_)) {}

File& File::operator=(File&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(path_, other.path_);
  return *this;
}

File::~File() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

File File::open_regular(const std::filesystem::path& path, int extra_flags) {
  // O_NONBLOCK: a pipe in the file's place must not make us wait for a writer.
  const int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | extra_flags;
  const int descriptor = retried([&] { return ::open(path.c_str(), flags); });
  if (descriptor < 0 && errno == ELOOP && (extra_flags & O_NOFOLLOW) != 0)
    throw UserError(cat(path.string(), " is a symbolic link, which is not followed"),
                    "put the file itself there, for instance with cp -L");
  if (descriptor < 0)
    throw UserError(cat("cannot open ", path.string(), ": ", reason(errno)));
  File file(descriptor, path);
  file.require_regular();
  return file;
}

void File::require_regular() const {
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) fail("examine", path_, errno);
  if (S_ISDIR(status.st_mode))
    throw UserError(cat(path_.string(), " is a folder, not a regular file"),
                    "name a file");
  if (!S_ISREG(status.st_mode))
    throw UserError(cat(path_.string(), " is not a regular file"),
                    "pipes and devices are not read or written: name a file");
}

File File::open_input(const std::filesystem::path& path) {
  return open_regular(path, 0);
}

File File::open_to_read(const std::filesystem::path& path) {
  return open_regular(path, O_NOFOLLOW);
}

File File::create(const std::filesystem::path& path) {
  remove_file(path);
  const int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  const int descriptor = retried([&] { return ::open(path.c_str(), flags, 0666); });
  if (descriptor < 0) fail("create", path, errno);
  return File(descriptor, path);
}

File File::open_to_write(const std::filesystem::path& path) {
  const int flags = O_RDWR | O_NOFOLLOW | O_CLOEXEC;
  const int descriptor = retried([&] { return ::open(path.c_str(), flags); });
  if (descriptor < 0) fail("open", path, errno);
  return File(descriptor, path);
}

File File::open_to_append(const std::filesystem::path& path) {
  // O_NONBLOCK: a pipe without a reader is refused at once.
  const int flags = O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
  const int descriptor = retried([&] { return ::open(path.c_str(), flags, 0666); });
  if (descriptor < 0) fail("write to", path, errno);
  File file(descriptor, path);
  file.require_regular();
  return file;
}

int64_t File::size() const {
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) fail("examine", path_, errno);
  return status.st_size;
}

void File::read_at(int64_t position, void* data, size_t count) const {
  auto* out = static_cast<char*>(data);
  while (count > 0) {
    const ssize_t got =
        retried([&] { return ::pread(descriptor_, out, count, position); });
    if (got < 0) fail("read", path_, errno);
    if (got == 0)
      throw UserError(cat(path_.string(), " ends at byte ", position, ", ", count,
                          " bytes too early"),
                      "the file was truncated: fetch or write it anew");
    out += got;
    position += got;
    count -= static_cast<size_t>(got);
  }
}

void File::write_at(int64_t position, const void* data, size_t count) const {
  const auto* in = static_cast<const char*>(data);
  while (count > 0) {
    const size_t block = std::min(count, kBlock);
    const ssize_t put =
        retried([&] { return ::pwrite(descriptor_, in, block, position); });
    if (put <= 0) fail("write", path_, put < 0 ? errno : ENOSPC);
    // Only a hint: file systems without it write all the same, and sync() has the last
    // word.
    const int64_t stretch = position / kStretch;
    in += put;
    position += put;
    if (position / kStretch != stretch)
      ::sync_file_range(descriptor_, stretch * kStretch, kStretch, SYNC_FILE_RANGE_WRITE);
    count -= static_cast<size_t>(put);
  }
}

size_t File::append(std::string_view text, std::string& fault) const {
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t put = retried(
        [&] { return ::write(descriptor_, text.data() + done, text.size() - done); });
    if (put <= 0) {
      fault = failure("write", path_, put < 0 ? errno : ENOSPC).what();
      break;
    }
    done += static_cast<size_t>(put);
  }
  return done;
}

void File::resize(int64_t size) const {
  if (retried([&] { return ::ftruncate(descriptor_, size); }) != 0)
    fail("resize", path_, errno);
}

void File::sync() const {
  if (retried([&] { return ::fsync(descriptor_); }) != 0)
    fail("force to disk", path_, errno);
}

std::string read_text(const File& file, int64_t limit) {
  const int64_t size = file.size();
  if (size > limit)
    throw UserError(cat(file.path().string(), " has ", size, " bytes, more than the ",
                        limit, " such a file may have"),
                    "check that this is the file you meant");
  std::string text(static_cast<size_t>(size), '\0');
  file.read_at(0, text.data(), text.size());
  return text;
}

void write_file_atomically(const std::filesystem::path& path, std::string_view text) {
  const std::filesystem::path temporary = path.string() + ".tmp";
  try {
    const File file = File::create(temporary);
    file.write_at(0, text.data(), text.size());
    file.sync();
    rename_file(temporary, path);
  } catch (const Error&) {
    ::unlink(temporary.c_str());
    throw;
  }
  sync_parent(path);
}

bool has_entry(const std::filesystem::path& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0;
}

void sync_directory(const std::filesystem::path& folder) {
  const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
  const int descriptor = retried([&] { return ::open(folder.c_str(), flags); });
  if (descriptor < 0) fail("open", folder, errno);
  const int result = retried([&] { return ::fsync(descriptor); });
  const int code = errno;
  ::close(descriptor);
  if (result != 0) fail("force to disk", folder, code);
}

void sync_parent(const std::filesystem::path& path) {
  sync_directory(path.has_parent_path() ? path.parent_path() : ".");
}

void rename_file(const std::filesystem::path& from, const std::filesystem::path& to) {
  if (std::rename(from.c_str(), to.c_str()) != 0) fail("rename to", to, errno);
}

void make_directory(const std::filesystem::path& folder) {
  if (::mkdir(folder.c_str(), 0777) == 0) return;
  const int code = errno;
  struct stat status {};
  if (code == EEXIST && ::lstat(folder.c_str(), &status) == 0 && S_ISDIR(status.st_mode))
    return;
  fail("create folder", folder, code);
}

void remove_file(const std::filesystem::path& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) fail("remove", path, errno);
}

}  // namespace mtrain
