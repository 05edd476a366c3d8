// Signal handlers of the programs; asked between steps, parts of data and chunks of
// files.
#include "mtrain/base/stop_request.hpp"

#include <atomic>
#include <csignal>
#include <cstdint>
#include <ctime>

namespace mtrain {
namespace {

/// A launcher may deliver one request by two ways: to the group and to each process.
constexpr int64_t kSameRequestMs = 200;

/// When the first signal of each kind came; 0: it did not. What handlers may touch.
constinit std::atomic<int64_t> g_term_ms = 0, g_user_ms = 0;
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

void handle_by(void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGUSR1, &action, nullptr);
}

}  // namespace

void listen_for_stop() noexcept {
  handle_by(take);
}

void stop_listening() noexcept {
  handle_by(SIG_DFL);
  g_term_ms = g_user_ms = 0;
}

bool stop_requested() noexcept {
  return g_term_ms != 0 || g_user_ms != 0;
}

void throw_if_stop_requested() {
  if (stop_requested())
    throw StopRequested("stopped by request; nothing is lost, the same command goes on");
}

}  // namespace mtrain
