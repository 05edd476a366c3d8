// Owns lock files: taken when a program begins to write somewhere, kept alive by a
// thread, removed at the end.
#include "output_lock.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <thread>

#include "lock_owner.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/base/log.hpp"
#include "mtrain/base/quiet_thread.hpp"
#include "mtrain/base/timer.hpp"

namespace mtrain::train {
namespace {

namespace fs = std::filesystem;

constexpr mode_t kMode = 0644;
constexpr size_t kLongest = 8192;  // bytes of a lock

/// A descriptor that closes itself; -1 where it could not be opened.
class Descriptor {
 public:
  Descriptor(const fs::path& path, int flags)
      : number_(
            ::open(path.c_str(), flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, kMode)) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  bool open() const { return number_ >= 0; }
  operator int() const { return number_; }

 private:
  int number_;
};

std::string text_of(int file) {
  std::string text(kLongest, '\0');
  const ssize_t bytes = ::pread(file, text.data(), text.size(), 0);
  text.resize(bytes > 0 ? static_cast<size_t>(bytes) : 0);
  return text;
}

/// What the file says now; nothing where there is none.
std::optional<std::string> read_lock(const fs::path& file) {
  const Descriptor lock(file, O_RDONLY);
  if (lock.open()) return text_of(lock);
  if (errno == ENOENT) return std::nullopt;
  throw UserError(cat("cannot read ", file.string(), ": ", std::strerror(errno)),
                  "remove it where no run uses the folder");
}

bool write_lock(int file, const std::string& text) {
  return ::pwrite(file, text.data(), text.size(), 0) ==
             static_cast<ssize_t>(text.size()) &&
         ::fsync(file) == 0;
}

bool is_of(const std::string& text, const LockOwner& owner) {
  const auto said = owner_from_text(text);
  return said && said->id == owner.id;
}

/// False where somebody else's file is there.
bool create(const fs::path& file, const LockOwner& owner) {
  const Descriptor lock(file, O_WRONLY | O_CREAT | O_EXCL);
  if (!lock.open() && errno == EEXIST) return false;
  if (lock.open() && write_lock(lock, to_text(owner, 0))) return true;
  const std::string reason = std::strerror(errno);
  if (lock.open()) ::unlink(file.c_str());
  throw UserError(cat("cannot create ", file.string(), ": ", reason),
                  "choose a folder you may write to, and check its free space");
}

void pause(double seconds) {
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
}

/// Watches a file whose owner cannot be seen from here: whether it changes in time.
Life watch_file(const fs::path& file, const std::string& before,
                const OutputLock::Times& times) {
  const Stopwatch clock;
  while (clock.seconds() < times.stale) {
    pause(std::min(times.beat / 10, 0.5));
    const auto now = read_lock(file);
    if (!now) return Life::kGone;
    if (*now != before) return Life::kAlive;
  }
  return Life::kGone;
}

/// Takes the file of a dead owner away. Another that found it dead too may have been
/// faster: its new file is put back.
void remove_dead(const fs::path& file, const std::string& judged, const LockOwner& self) {
  const fs::path aside = cat(file.string(), ".", self.id);
  if (::rename(file.c_str(), aside.c_str()) != 0) return;
  const auto taken = read_lock(aside);
  if (taken && *taken != judged) (void)!::link(aside.c_str(), file.c_str());
  ::unlink(aside.c_str());
}

}  // namespace

struct OutputLock::Impl {
  Impl(const fs::path& file, const std::string& what, const Times& times);
  ~Impl();

  void take();
  void judge(const std::string& text);
  void keep();
  void beat(int64_t number);
  [[noreturn]] void lost() const;

  fs::path file;
  std::string what;
  Times times;
  LockOwner self = this_process();
  std::mutex mutex;
  std::condition_variable ends;
  bool ended = false;
  std::thread thread;
};

OutputLock::Impl::Impl(const fs::path& given, const std::string& owned,
                       const Times& given_times)
    : file(given), what(owned), times(given_times) {
  take();
  thread = quiet_thread([this] { keep(); });
}

OutputLock::Impl::~Impl() {
  {
    const std::lock_guard lock(mutex);
    ended = true;
  }
  ends.notify_all();
  thread.join();
  const Descriptor lock(file, O_RDONLY);
  if (lock.open() && is_of(text_of(lock), self)) ::unlink(file.c_str());
}

void OutputLock::Impl::take() {
  constexpr int kLooks = 20;
  for (int look = 1; !create(file, self); ++look) {
    const auto text = read_lock(file);
    // Just created, and not written yet.
    if (text && text->empty() && look < kLooks)
      pause(0.05);
    else if (text)
      judge(*text);
  }
}

/// Returns when the owner is gone and its file out of the way.
void OutputLock::Impl::judge(const std::string& text) {
  const auto owner = owner_from_text(text);
  const std::string name =
      owner ? describe(*owner) : "a program that did not say its name";
  Life life = owner ? life_of(*owner) : Life::kUnknown;
  if (life == Life::kUnknown) {
    log::info(cat(what, " belongs to ", name, ": looking for a sign of life for ",
                  times.stale, " s"));
    life = watch_file(file, text, times);
  }
  if (life == Life::kAlive)
    throw UserError(cat(what, " is in use by ", name, " (", file.string(), ")"),
                    "wait until it has ended, or write to another place");
  log::info(cat(what, " is taken over from ", name, ", which is gone"));
  remove_dead(file, text, self);
}

void OutputLock::Impl::keep() {
  std::unique_lock lock(mutex);
  const std::chrono::duration<double> interval(times.beat);
  for (int64_t number = 1; !ends.wait_for(lock, interval, [this] { return ended; });
       ++number)
    beat(number);
}

/// Faults of the storage pass; a file that is somebody else's is a fault of this run,
/// which must have been suspended for long.
void OutputLock::Impl::beat(int64_t number) {
  const Descriptor lock(file, O_RDWR);
  if (lock.open()) {
    const std::string text = text_of(lock);
    if (is_of(text, self))
      write_lock(lock, to_text(self, number));
    else if (!text.empty())
      lost();
    return;
  }
  if (errno != ENOENT) return;
  try {
    if (!create(file, self)) lost();
  } catch (const UserError&) {
    // The folder is gone, too: the next save tells.
  }
}

/// The main thread may hold any lock, so nothing is torn down.
void OutputLock::Impl::lost() const {
  log::error(cat(what,
                 " was taken over by another run, while this one gave no sign of "
                 "life: it ends"));
  log::error("remedy: nothing is to be done, the other run goes on");
  std::_Exit(kExitFailure);
}

OutputLock::OutputLock(const fs::path& file, const std::string& what, const Times& times)
    : impl_(std::make_unique<Impl>(file, what, times)) {}
OutputLock::~OutputLock() = default;

std::unique_ptr<OutputLock> lock_for_all(const comm::Session& session,
                                         const fs::path& file, const std::string& what) {
  std::unique_ptr<OutputLock> lock;
  session.agree([&] {
    if (session.rank() == 0)
      lock = std::make_unique<OutputLock>(file, what, OutputLock::kTimes);
  });
  return lock;
}

}  // namespace mtrain::train
