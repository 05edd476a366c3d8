// The trace of one step on all ranks.
#pragma once

#include <filesystem>
#include <vector>

#include "mtrain/comm/session.hpp"

namespace mtrain::train {

class StepTrace {
 public:
  /// From now on what this rank does is recorded. Collective.
  StepTrace(const comm::Session& session, int64_t step);
  /// Writes trace-step-N.json into `folder` (rank 0) and logs the share of the step in
  /// which the stages computed nothing. `name` of this rank is shown in the trace.
  /// Collective.
  void write(const std::filesystem::path& folder, const std::string& name) const;

 private:
  const comm::Session& session_;
  int64_t step_;
  double origin_;  ///< about the same moment on all ranks
};

/// The passes of one rank in a step, in seconds: the first one's begin, the last one's
/// end, and how long they ran together without waiting for other stages.
struct PassTimes {
  double begin, end, busy;
};
PassTimes pass_times(const std::vector<TraceEvent>& events);

/// Mean over the ranks of the share of time in which they ran no pass, between the first
/// pass of any rank and the last one.
double idle_share(const std::vector<PassTimes>& ranks);

}  // namespace mtrain::train
