// SIGTERM and SIGUSR1 as a wish to stop at the next step boundary.
#pragma once

#include <csignal>

namespace mtrain::train {

/// While it lives, the first of each of the two signals sets a flag instead of ending the
/// process; the second of a kind ends it at once, as if nobody listened. (Slurm sends
/// both kinds one after the other, each meaning the same.) One object at a time.
class StopRequest {
 public:
  StopRequest();
  ~StopRequest();
  StopRequest(const StopRequest&) = delete;
  StopRequest& operator=(const StopRequest&) = delete;

  /// Whether this process was asked; others may not have been.
  bool received() const;

 private:
  struct sigaction old_term_ {
  }, old_user_{};
};

}  // namespace mtrain::train
