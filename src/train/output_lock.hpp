// One process at a time owns what it writes to.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "mtrain/comm/session.hpp"

namespace mtrain::train {

/// Names of locks: in a folder, and behind the name of a file.
inline constexpr char kFolderLock[] = "mtrain.lock";
inline constexpr char kFileLock[] = ".lock";

/// A file that says who owns a folder or a file. It is created exclusively (which holds
/// on NFS too), tells host, process and job, and is written anew every few seconds. What
/// is left of an owner that is gone (its process ended on this machine, its job was
/// started again, or the file stayed the same for longer than an owner would leave it)
/// is taken over, and that is said.
class OutputLock {
 public:
  struct Times {
    double beat;   ///< seconds between two signs of life
    double stale;  ///< without one for so long, an owner elsewhere is gone
  };
  static constexpr Times kTimes{10, 60};

  /// `what` is owned, in words: "output_dir out". Throws UserError when somebody else
  /// owns it, after `stale` seconds at most, or when the file cannot be created.
  OutputLock(const std::filesystem::path& file, const std::string& what,
             const Times& times);
  /// Removes the file, unless somebody took it over.
  ~OutputLock();
  OutputLock(const OutputLock&) = delete;
  OutputLock& operator=(const OutputLock&) = delete;

  struct Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

/// Taken by rank 0 for all ranks. Collective.
std::unique_ptr<OutputLock> lock_for_all(const comm::Session& session,
                                         const std::filesystem::path& file,
                                         const std::string& what);

}  // namespace mtrain::train
