// Signal handlers of a training run; the trainer asks at every step boundary.
#include "stop_request.hpp"

namespace mtrain::train {
namespace {

// The one thing a signal handler may touch.
volatile std::sig_atomic_t g_received = 0;

void remember(int) {
  g_received = 1;
}

}  // namespace

StopRequest::StopRequest() {
  g_received = 0;
  struct sigaction action {};
  action.sa_handler = remember;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGTERM, &action, &old_term_);
  sigaction(SIGUSR1, &action, &old_user_);
}

StopRequest::~StopRequest() {
  sigaction(SIGTERM, &old_term_, nullptr);
  sigaction(SIGUSR1, &old_user_, nullptr);
}

bool StopRequest::received() const {
  return g_received != 0;
}

}  // namespace mtrain::train
