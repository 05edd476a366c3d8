// SIGTERM and SIGUSR1 as a wish to stop at the next step boundary.
#pragma once

#include <csignal>

namespace mtrain::train {

/// While it lives, the two signals set a flag instead of ending the process. One object
/// at a time.
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
