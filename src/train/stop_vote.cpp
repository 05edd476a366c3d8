// The ranks' agreement on stopping early; the trainer starts a vote in each step.
#include "stop_vote.hpp"

#include <ATen/ATen.h>

#include <algorithm>

#include "mtrain/base/stop_request.hpp"

namespace mtrain::train {

bool time_is_up(double elapsed, double step, double save, double limit) {
  return elapsed + step + save > limit;
}

void stop_where_asked(const comm::Session& session) {
  session.agree(throw_if_stop_requested);
}

StopVote::StopVote(const std::optional<config::Duration>& max_time,
                   comm::Communicator& world)
    : world_(world),
      before_(seconds_since_process_start()),
      vote_(at::zeros({1}, at::kLong)) {
  if (max_time) limit_ = static_cast<double>(max_time->seconds);
}

void StopVote::start(double save_seconds) {
  const double now = clock_.seconds();
  if (last_start_) longest_step_ = std::max(longest_step_, now - *last_start_);
  last_start_ = now;
  Stop mine = Stop::kNo;
  if (limit_ && time_is_up(before_ + now, longest_step_, save_seconds, *limit_))
    mine = Stop::kTimeIsUp;
  if (stop_requested()) mine = Stop::kRequested;
  vote_.fill_(static_cast<int64_t>(mine));
  pending_ = world_.start_all_reduce(vote_, comm::Reduce::kMax);
}

Stop StopVote::result() {
  comm::finish(pending_);
  return static_cast<Stop>(vote_.item<int64_t>());
}

}  // namespace mtrain::train
