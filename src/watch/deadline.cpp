// A thread that ends the process in time; used by the programs around MPI's start and
// end.
#include "mtrain/watch/deadline.hpp"

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <thread>

#include "mtrain/base/error.hpp"
#include "mtrain/base/log.hpp"
#include "mtrain/base/quiet_thread.hpp"

namespace mtrain::watch {

struct Deadline::Impl {
  Impl(double seconds, const std::string& what);
  ~Impl();
  void wait(double seconds, const std::string& what);

  std::mutex mutex;
  std::condition_variable ends;
  bool ended = false;
  std::thread thread;
};

Deadline::Impl::Impl(double seconds, const std::string& what)
    : thread(quiet_thread([this, seconds, what] { wait(seconds, what); })) {}

Deadline::Impl::~Impl() {
  {
    const std::lock_guard lock(mutex);
    ended = true;
  }
  ends.notify_all();
  thread.join();
}

/// In short waits: time in which the whole process was suspended does not count.
void Deadline::Impl::wait(double seconds, const std::string& what) {
  constexpr std::chrono::milliseconds kEach{500};
  const int64_t rounds = static_cast<int64_t>(seconds * 1000) / kEach.count();
  std::unique_lock lock(mutex);
  for (int64_t round = 0; round < std::max<int64_t>(1, rounds); ++round)
    if (ends.wait_for(lock, kEach, [this] { return ended; })) return;
  log::error(cat("hang: ", what, " takes longer than ", seconds, " s"));
  log::error(
      "remedy: a rank may be stopped, or its machine may not answer; look for it, and "
      "start again");
  std::_Exit(kExitFailure);
}

Deadline::Deadline(double seconds, const std::string& what)
    : impl_(std::make_unique<Impl>(seconds, what)) {}
Deadline::~Deadline() = default;

}  // namespace mtrain::watch
