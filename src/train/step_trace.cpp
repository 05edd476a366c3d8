// Gathers what all ranks did in one step; used by the trainer for profile_step.
#include "step_trace.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <sstream>

#include "mtrain/base/file.hpp"
#include "mtrain/base/log.hpp"
#include "mtrain/base/timer.hpp"
#include "mtrain/report/trace.hpp"

namespace mtrain::train {
namespace {

std::string to_text(const PassTimes& times) {
  char text[96];
  std::snprintf(text, sizeof text, "%.9f %.9f %.9f", times.begin, times.end, times.busy);
  return text;
}

PassTimes from_text(const std::string& text) {
  PassTimes times{};
  std::istringstream(text) >> times.begin >> times.end >> times.busy;
  return times;
}

}  // namespace

PassTimes pass_times(const std::vector<TraceEvent>& events) {
  PassTimes times{HUGE_VAL, -HUGE_VAL, 0};
  std::vector<TraceEvent> waits;  // since the last pass, the next one's own among them
  for (const TraceEvent& event : events) {
    if (event.doing == Doing::kWait) waits.push_back(event);
    if (event.doing != Doing::kForward && event.doing != Doing::kBackward) continue;
    times.begin = std::min(times.begin, event.begin);
    times.end = std::max(times.end, event.end);
    times.busy += event.end - event.begin;
    for (const TraceEvent& wait : waits)
      if (wait.begin >= event.begin) times.busy -= wait.end - wait.begin;
    waits.clear();
  }
  return times;
}

double idle_share(const std::vector<PassTimes>& ranks) {
  double begin = HUGE_VAL, end = -HUGE_VAL, busy = 0;
  for (const PassTimes& times : ranks) {
    begin = std::min(begin, times.begin);
    end = std::max(end, times.end);
    busy += times.busy;
  }
  return 1 - busy / static_cast<double>(ranks.size()) / (end - begin);
}

StepTrace::StepTrace(const comm::Session& session, int64_t step)
    : session_(session), step_(step) {
  session_.barrier();
  origin_ = monotonic_seconds();
  session_.activity().start_trace();
}

void StepTrace::write(const std::filesystem::path& folder,
                      const std::string& name) const {
  const auto events = session_.activity().take_trace();
  PassTimes own = pass_times(events);
  own.begin -= origin_;
  own.end -= origin_;
  std::vector<PassTimes> passes;
  for (const auto& text : session_.all_gather_text(to_text(own)))
    passes.push_back(from_text(text));
  const auto ranks = session_.all_gather_text(
      report::trace_of_rank(session_.rank(), name, events, origin_));
  const auto path = folder / cat("trace-step-", step_, ".json");
  session_.agree([&] {
    if (session_.rank() != 0) return;
    write_file_atomically(path, report::trace_of_ranks(ranks));
  });
  log::info(cat("trace   of step ", step_, " on all ranks: ", path.string(),
                "; the stages were idle for ",
                formatted("%.1f", 100 * idle_share(passes)), " % of its passes"));
}

}  // namespace mtrain::train
