// Owns the switching between two tasks of one thread, the second on a stack of its own;
// used by the pipeline executor and by whatever waits inside a pass.
#include "mtrain/base/turns.hpp"

#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <exception>
#include <system_error>

#include "mtrain/base/error.hpp"

namespace mtrain {
namespace {

/// Thrown in a task whose other has failed, so that its objects are destroyed.
struct Unwound {};

}  // namespace

/// Memory the system provides as it is used, with a page below that may not be touched.
class Turns::Stack {
 public:
  Stack() {
    memory_ = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (memory_ == MAP_FAILED) fail("mmap");
    if (mprotect(memory_, static_cast<size_t>(sysconf(_SC_PAGESIZE)), PROT_NONE) != 0)
      fail("mprotect");
  }
  ~Stack() {
    if (memory_ != MAP_FAILED) munmap(memory_, kBytes);
  }
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;

  stack_t region() const { return {memory_, 0, kBytes}; }

 private:
  [[noreturn]] static void fail(const char* call) {
    throw std::system_error(errno, std::generic_category(),
                            cat(call, " of a stack of ", kBytes, " bytes"));
  }

  /// As large as a thread's main stack usually is.
  static constexpr size_t kBytes = size_t{8} << 20;
  void* memory_;
};

class Turns::Pair {
 public:
  Pair(const Task& second, const Stack& stack) : second_(second) {
    MT_CHECK(getcontext(&second_context_) == 0, "getcontext");
    second_context_.uc_stack = stack.region();
    second_context_.uc_link = &first_context_;
    // makecontext passes ints only.
    const auto self = reinterpret_cast<uintptr_t>(this);
    makecontext(&second_context_, reinterpret_cast<void (*)()>(&Pair::enter), 2,
                static_cast<unsigned>(self >> 32), static_cast<unsigned>(self));
  }

  void run(const Task& first) {
    play(first);
    first_ended_ = true;
    while (!second_ended_) resume_second();
    if (error_) std::rethrow_exception(error_);
  }

  void hand_over() {
    if (in_second_ ? first_ended_ : second_ended_) return;
    in_second_ ? resume_first() : resume_second();
    if (error_) throw Unwound{};
  }

 private:
  static void enter(unsigned high, unsigned low) {
    auto* self = reinterpret_cast<Pair*>(uintptr_t{high} << 32 | low);
    self->play(self->second_);
    self->second_ended_ = true;
    self->in_second_ = false;  // uc_link goes on with the first
  }

  void resume_first() {
    in_second_ = false;
    swapcontext(&second_context_, &first_context_);
  }
  void resume_second() {
    in_second_ = true;
    swapcontext(&first_context_, &second_context_);
  }

  void play(const Task& task) {
    if (error_) return;
    try {
      task();
    } catch (const Unwound&) {
    } catch (...) {
      error_ = std::current_exception();
    }
  }

  const Task& second_;
  ucontext_t first_context_{}, second_context_{};
  bool in_second_ = false, first_ended_ = false, second_ended_ = false;
  std::exception_ptr error_;
};

Turns::Turns() = default;
Turns::~Turns() = default;

void Turns::run(const Task& first, const Task& second) {
  MT_CHECK(pair_ == nullptr, "turns within turns");
  if (!stack_) stack_ = std::make_unique<Stack>();
  Pair pair(second, *stack_);
  pair_ = &pair;
  struct Leave {
    Turns& turns;
    ~Leave() { turns.pair_ = nullptr; }
  } leave{*this};
  pair.run(first);
}

void Turns::hand_over() {
  if (pair_ != nullptr) pair_->hand_over();
}

}  // namespace mtrain
