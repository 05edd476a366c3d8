// Who holds a lock: what the file says, and what this machine knows of it.
#pragma once

#include <optional>
#include <string>

namespace mtrain::train {

/// A process, named so that it can be told from a later one of the same number.
struct LockOwner {
  std::string program;
  std::string host;
  int process = 0;
  std::string started;  ///< when the process began, in the kernel's ticks
  std::string machine;  ///< its boot and the space its process numbers are counted in
  std::string job, restart;  ///< of the batch system; empty outside
  std::string since;         ///< when it took the lock, for people
  std::string id;            ///< of this taking
};

/// This process, with a new id.
LockOwner this_process();

/// One line, of the same length for every `beat`.
std::string to_text(const LockOwner& owner, int64_t beat);
/// Nothing where the text is not one of to_text().
std::optional<LockOwner> owner_from_text(const std::string& text);
/// "mtrain, process 77 on host n1 (job 12), since 2026-11-28 12:01:02".
std::string describe(const LockOwner& owner);

enum class Life { kAlive, kGone, kUnknown };
/// What can be told from here at once; of a process elsewhere, nothing.
Life life_of(const LockOwner& owner);

}  // namespace mtrain::train
