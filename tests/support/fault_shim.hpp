// Failing storage on demand: which call of a process on which files fails, and how.
#pragma once

#include <string>

namespace mtrain::test {

struct FaultPlan {
  enum class Action {
    kNone,           ///< only counts
    kFail,           ///< the call fails with `code`
    kShort,          ///< half of a write is written
    kShortThenFull,  ///< the same, and all later writes fail with ENOSPC
    kKill,           ///< SIGKILL for the process itself
    kKillAll,        ///< for all children of its parent, itself included
    kKillParent,     ///< for its parent
  } action = Action::kNone;
  long number = -1;  ///< of the call, from 0
  int code = 0;      ///< an errno
  std::string path;  ///< part of the paths that count
};

/// Counts calls from 0 on, and applies the plan.
void arm_fault(const FaultPlan& plan);
/// Ends that; returns the calls counted.
long disarm_fault();

}  // namespace mtrain::test
