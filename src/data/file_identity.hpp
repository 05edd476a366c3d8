// Whether a file is still the one it was: for files that must not change while they are
// read.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace mtrain::data {

/// What a write to a file changes, or another file in its place.
struct FileIdentity {
  uint64_t device, inode;
  int64_t bytes;
  int64_t written_ns;  ///< time of the last write
  int64_t changed_ns;  ///< of the last change of anything; cannot be set back

  bool operator==(const FileIdentity&) const = default;
};

/// Of the file at `path`, or behind an open descriptor; UserError when there is none.
FileIdentity identity_of(const std::string& path);
FileIdentity identity_of(int descriptor, const std::string& path);

/// What of `now` differs from `before`, in words: "it has 10 bytes, had 12". "" where
/// nothing does.
std::string difference(const FileIdentity& before, const FileIdentity& now);

/// Files that are read for a while and must stay as they are until then.
class InputWatch {
 public:
  /// Watches those of `paths` that are there.
  explicit InputWatch(const std::vector<std::string>& paths);
  /// Error naming a file that was changed, replaced or removed since.
  void require_unchanged() const;

 private:
  std::vector<std::pair<std::string, FileIdentity>> files_;
};

}  // namespace mtrain::data
