// How far a long piece of work is, for the person who waits.
#pragma once

#include <cstdint>
#include <string>

#include "mtrain/base/timer.hpp"

namespace mtrain::train {

/// Whether a person watches standard output. Open MPI gives every rank a terminal of its
/// own, so what its parent (mpirun) writes to decides.
bool on_terminal();

/// On a terminal a live bar; else a line every ten seconds. Prints nothing where `prints`
/// is false.
class Progress {
 public:
  Progress(std::string what, bool prints);
  /// Ends the bar's line.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// `done` of `total` bytes.
  void update(int64_t done, int64_t total);

 private:
  std::string what_;
  bool prints_, terminal_, drawn_ = false;
  Stopwatch since_start_, since_print_;
};

}  // namespace mtrain::train
