// Owns the identities of files; called where one must stay as it is while it is read.
#include "file_identity.hpp"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "mtrain/base/error.hpp"

namespace mtrain::data {
namespace {

int64_t nanoseconds(const timespec& time) {
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

FileIdentity checked(int result, const struct stat& status, const std::string& path) {
  if (result != 0) throw UserError(cat("cannot read ", path, ": ", std::strerror(errno)));
  return {status.st_dev, status.st_ino, status.st_size, nanoseconds(status.st_mtim),
          nanoseconds(status.st_ctim)};
}

}  // namespace

FileIdentity identity_of(const std::string& path) {
  struct stat status {};
  const int result = ::stat(path.c_str(), &status);
  return checked(result, status, path);
}

FileIdentity identity_of(int descriptor, const std::string& path) {
  struct stat status {};
  const int result = ::fstat(descriptor, &status);
  return checked(result, status, path);
}

std::string difference(const FileIdentity& before, const FileIdentity& now) {
  if (now.bytes != before.bytes)
    return cat("it has ", now.bytes, " bytes, had ", before.bytes);
  if (now.device != before.device || now.inode != before.inode)
    return "another file stands in its place";
  if (now.written_ns != before.written_ns) return "it was written to";
  return now == before ? "" : "its attributes were changed";
}

InputWatch::InputWatch(const std::vector<std::string>& paths) {
  for (const auto& path : paths)
    if (std::filesystem::exists(path)) files_.emplace_back(path, identity_of(path));
}

void InputWatch::require_unchanged() const {
  for (const auto& [path, before] : files_) {
    const std::string found = std::filesystem::exists(path)
                                  ? difference(before, identity_of(path))
                                  : "it is gone";
    if (!found.empty())
      throw Error(cat(path, " was changed while it was read: ", found),
                  "start again when nothing writes to it any more");
  }
}

}  // namespace mtrain::data
