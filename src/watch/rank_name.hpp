// Names of the processes of a run, and what the system says of them.
#pragma once

#include <string>
#include <vector>

namespace mtrain::watch {

struct RankName {
  std::string host;
  int process = 0;
};

RankName own_name();
std::string to_text(const RankName& name);
RankName name_from_text(const std::string& text);

/// "rank 3 (host a, process 77)".
std::string describe(int rank, const RankName& name);

/// What the system says of the process, if it is on this machine: "stopped", "gone", "at
/// work" and the like; else "".
std::string process_state(const RankName& name);

}  // namespace mtrain::watch
