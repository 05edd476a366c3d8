// Whether all ranks stop before the last step, agreed on while a step runs.
#pragma once

#include <optional>

#include "mtrain/base/timer.hpp"
#include "mtrain/comm/session.hpp"
#include "mtrain/config/deck.hpp"

namespace mtrain::train {

/// In the order of weight: the ranks' largest counts.
enum class Stop { kNo, kTimeIsUp, kRequested };

/// Throws StopRequested on all ranks where one was asked to stop. Collective: for the
/// time before the first step.
void stop_where_asked(const comm::Session& session);

/// Whether a process that has run for `elapsed` must save now to be done after `limit`:
/// another `step` and a save of `save` would end later. All in seconds.
bool time_is_up(double elapsed, double step, double save, double limit);

/// One reduction of a number, started before a step's last communication and complete
/// when that is: it costs no wait of its own. Calls are collective over `world`, one vote
/// at a time.
class StopVote {
 public:
  StopVote(const std::optional<config::Duration>& max_time, comm::Communicator& world);

  /// Starts a vote; `save_seconds`: what a save may take. The longest time between two
  /// starts counts as what the next step may take.
  void start(double save_seconds);
  /// The vote's result, the same on all ranks.
  Stop result();

 private:
  std::optional<double> limit_;
  comm::Communicator& world_;
  double before_;  ///< seconds from the start of the process until clock_
  Stopwatch clock_;
  std::optional<double> last_start_;
  double longest_step_ = 0;
  at::Tensor vote_;
  comm::Pending pending_;
};

}  // namespace mtrain::train
