// A limit for what no watchdog sees: the time before the ranks have met, and after.
#pragma once

#include <memory>
#include <string>

namespace mtrain::watch {

/// While it lives for longer than `seconds`, it ends the process with kExitFailure and a
/// message: "WHAT takes longer than N s".
class Deadline {
 public:
  Deadline(double seconds, const std::string& what);
  ~Deadline();
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;

  struct Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace mtrain::watch
