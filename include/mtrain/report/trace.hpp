// The trace of a step in the JSON that chrome://tracing and Perfetto read.
#pragma once

#include <string>
#include <vector>

#include "mtrain/base/activity.hpp"

namespace mtrain::report {

/// The events of one rank as a list of JSON objects without brackets; times since
/// `origin`. `name` of the rank is shown beside its row.
std::string trace_of_rank(int rank, const std::string& name,
                          const std::vector<TraceEvent>& events, double origin);

/// A whole trace from the lists of all ranks.
std::string trace_of_ranks(const std::vector<std::string>& ranks);

}  // namespace mtrain::report
