// What the doctor finds, and who looks.
#pragma once

#include <string>
#include <vector>

#include "mtrain/comm/session.hpp"

namespace mtrain::doctor {

struct Finding {
  std::string subject, text;
  std::string remedy = {};  ///< of a fault or a doubt; empty where all is well
  bool doubtful = false;    ///< may have another cause than a fault: told, not counted
  bool is_fault() const { return !remedy.empty() && !doubtful; }
};

/// This process and its machine: nothing is exchanged.
std::vector<Finding> examine_machine(const comm::Session& session);

/// Whether a file written by rank 0 here is seen by all. Collective.
Finding examine_shared_files(const comm::Session& session);

/// Bandwidth between all pairs of ranks, or those some distances apart where there are
/// many; names slow links. Collective.
Finding examine_links(const comm::Session& session);

}  // namespace mtrain::doctor
