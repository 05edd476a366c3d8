// Signal handlers of a training run; the vote asks at every step what they received.
#include "stop_request.hpp"

#include <atomic>
#include <cstdint>
#include <ctime>

namespace mtrain::train {
namespace {

/// A launcher may deliver one request by two ways: to the group and to each process.
constexpr int64_t kSameRequestMs = 200;

/// When the first signal of each kind came; 0: it did not. What handlers may touch.
std::atomic<int64_t> g_term_ms = 0, g_user_ms = 0;
static_assert(std::atomic<int64_t>::is_always_lock_free);

int64_t now_ms() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1000000 + 1;  // never 0
}

/// Calls only what may be called in a handler.
void take(int signal) {
  auto& first = signal == SIGTERM ? g_term_ms : g_user_ms;
  const int64_t now = now_ms();
  int64_t never = 0;
  if (first.compare_exchange_strong(never, now) || now - first < kSameRequestMs) return;
  std::signal(signal, SIG_DFL);
  std::raise(signal);  // taken when the handler returns
}

}  // namespace

StopRequest::StopRequest() {
  g_term_ms = g_user_ms = 0;
  struct sigaction action {};
  action.sa_handler = take;
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
  return g_term_ms != 0 || g_user_ms != 0;
}

}  // namespace mtrain::train
