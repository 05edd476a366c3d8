// Finds hangs: every rank's helper thread tells rank 0's how long its main thread has
// been where it is; when one stalls, the culprit is named and every rank ends.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "mtrain/comm/session.hpp"

namespace mtrain::watch {

struct Options {
  /// Least time without progress, in seconds, after which a rank counts as stalled. It is
  /// more where steps take long (src/watch/patience.hpp). 0: nobody watches.
  double floor;
  /// Where each rank writes what it was doing, as rank-RRRRR.json, when the run is ended;
  /// empty: nowhere.
  std::filesystem::path dump_folder;
};

/// The helper threads talk over TCP connections to rank 0, made here: MPI belongs to the
/// main threads, which may hang inside it. While it lives a stall ends the process with
/// kExitFailure, on all ranks.
class Watchdog {
 public:
  /// Collective. A rank that cannot connect is not watched; a warning says so.
  Watchdog(const comm::Session& session, const Options& options);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  /// Other options from now on; alike on all ranks. Once nobody watches it stays so.
  void set(const Options& options);

  /// Which rank is to blame for an error of this one, in a sentence; empty where that
  /// cannot be told. For errors the other ranks know nothing of; takes seconds at most.
  std::string explain();

  struct Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace mtrain::watch
