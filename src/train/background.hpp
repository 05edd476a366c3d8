// One piece of work on a thread of its own.
#pragma once

#include <atomic>
#include <exception>
#include <functional>
#include <thread>

namespace mtrain::train {

/// Runs `work` in the background; at most one at a time. The work makes no MPI
/// call, and HDF5 calls only where HDF5 has a lock of its own.
class BackgroundWork {
 public:
  /// What the work asks between two of its parts: true when it should give up.
  using Cancelled = std::function<bool()>;

  BackgroundWork() = default;
  BackgroundWork(const BackgroundWork&) = delete;
  BackgroundWork& operator=(const BackgroundWork&) = delete;
  /// Cancels what still runs and waits for it.
  ~BackgroundWork() {
    cancelled_ = true;
    wait();
  }

  void start(std::function<void(const Cancelled&)> work) {
    wait();
    done_ = false;
    failure_ = nullptr;
    thread_ = std::thread([this, work = std::move(work)] {
      try {
        work([this] { return cancelled_.load(); });
      } catch (...) {
        failure_ = std::current_exception();
      }
      done_ = true;
    });
  }
  /// Never blocks.
  bool done() const { return done_; }
  void wait() {
    if (thread_.joinable()) thread_.join();
  }
  /// After the end: null, or what the work threw.
  std::exception_ptr failure() const { return failure_; }

 private:
  std::atomic<bool> done_ = true, cancelled_ = false;
  std::exception_ptr failure_;  ///< written before done_, read after it
  std::thread thread_;
};

}  // namespace mtrain::train
