// The error vocabulary of the whole program: what went wrong, and what would help.
#pragma once

#include <stdexcept>
#include <string>

#include "mtrain/base/text.hpp"

namespace mtrain {

/// Exit codes of all three programs.
enum ExitCode : int {
  kExitOk = 0,
  kExitFailure = 1,    ///< a failure while running
  kExitUserFault = 2,  ///< a fault in deck, data or model files, found before training
  kExitRequeue = 85,   ///< stopped by request, checkpoint saved: requeue me
};

/// A failure while running. `remedy` is one sentence on what the user can do, or empty.
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& what, std::string remedy = {})
      : std::runtime_error(what), remedy_(std::move(remedy)) {}
  const std::string& remedy() const { return remedy_; }
  virtual ExitCode exit_code() const { return kExitFailure; }

  /// True when every rank threw this same error, so that all can end in order; otherwise
  /// the other ranks know nothing of it and have to be aborted.
  bool on_all_ranks() const { return on_all_ranks_; }
  void set_on_all_ranks() { on_all_ranks_ = true; }

 private:
  std::string remedy_;
  bool on_all_ranks_ = false;
};

/// A fault in what the user gave us: deck, data, model or checkpoint files.
class UserError : public Error {
 public:
  using Error::Error;
  ExitCode exit_code() const override { return kExitUserFault; }
};

/// Throws Error("internal check failed: ...") with the place; called by MT_CHECK.
[[noreturn]] void check_failed(const char* condition, const char* file, int line,
                               const std::string& message);

}  // namespace mtrain

/// An invariant of the program (never a user fault): throws mtrain::Error when broken.
/// Further arguments are concatenated into the message.
#define MT_CHECK(condition, ...)                             \
  do {                                                       \
    if (!(condition)) [[unlikely]]                           \
      ::mtrain::check_failed(#condition, __FILE__, __LINE__, \
                             ::mtrain::cat(__VA_ARGS__));    \
  } while (false)
