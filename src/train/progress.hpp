// How far a long piece of work is, for the person who waits.
#pragma once

#include <cstdint>
#include <string>

#include "mtrain/base/timer.hpp"

namespace mtrain::train {

/// "[###.....]": `share` of `width` filled.
std::string bar(double share, int width);

/// On a terminal a live bar; else a line every ten seconds. Prints nothing where `prints`
/// is false.
class Progress {
 public:
  Progress(std::string what, bool prints);
  /// Takes the bar away.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// `done` of `total` bytes.
  void update(int64_t done, int64_t total);

 private:
  std::string what_;
  bool prints_, terminal_;
  Stopwatch since_start_, since_print_;
};

}  // namespace mtrain::train
