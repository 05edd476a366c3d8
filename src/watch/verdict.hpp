// Who is to blame for a hang, from what the ranks were doing: pure reasoning.
#pragma once

#include <string>
#include <vector>

#include "mtrain/base/activity.hpp"

namespace mtrain::watch {

/// What rank 0 knows of a rank when the run is judged.
struct RankReport {
  int rank;
  std::string name;             ///< "rank 3 (host a, process 77)"
  bool ended = false;           ///< its connection is gone, without a farewell
  bool answered = true;         ///< it told its moment when asked
  double silent = 0;            ///< seconds since it was last heard of
  std::string state = {};       ///< of its process, where that could be looked up
  std::string last_place = {};  ///< where it was when last heard of
  double idle = 0;              ///< seconds its main thread has been at `moment`
  Moment moment = {};
};

struct Verdict {
  std::vector<int> culprits;  ///< empty where none can be told
  std::string sentence;
};

/// One English sentence: who, doing what, and for how long the others have waited. In
/// this order: a rank that is gone or does not answer; ranks whose operation differs from
/// that of the others at the same place of a group's order; a rank that has left an
/// operation the others wait in; else the rank at the end of the chain of who waits for
/// whom, or, where the chain is a circle, the one that has gone furthest, as it passed
/// what the others wait for without doing it.
Verdict judge(const std::vector<RankReport>& ranks);

}  // namespace mtrain::watch
