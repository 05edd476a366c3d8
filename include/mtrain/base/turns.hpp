// Two functions that run in turns on one thread, each until it hands over to the other.
#pragma once

#include <functional>
#include <memory>

namespace mtrain {

/// What one function waits for, the other's work hides. The order of turns follows from
/// where the functions hand over, so it is the same on ranks that do the same.
class Turns {
 public:
  Turns();
  ~Turns();
  Turns(const Turns&) = delete;
  Turns& operator=(const Turns&) = delete;

  using Task = std::function<void()>;
  /// Runs both to their ends, `first` first. When one throws, the other is unwound from
  /// where it handed over, and run() throws that error. Not within another run().
  void run(const Task& first, const Task& second);

  /// Inside a task of run(): the other goes on, and this one when that hands over or
  /// ends. Does nothing elsewhere, or once the other has ended. Must not be called while
  /// an exception is handled.
  void hand_over();

 private:
  class Stack;
  class Pair;
  std::unique_ptr<Stack> stack_;  ///< of second tasks; made when first needed
  Pair* pair_ = nullptr;          ///< under way
};

}  // namespace mtrain
