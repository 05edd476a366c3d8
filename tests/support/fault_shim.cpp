// A library loaded before libc (or linked by a test) that makes the n-th input or output
// call on files of interest fail, or kills processes there. Driven by fault_shim.hpp or
// by variables: MTRAIN_FAULT=ACTION@N, MTRAIN_FAULT_PATH, MTRAIN_FAULT_RANK,
// MTRAIN_FAULT_LOG.
#include "support/fault_shim.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>

namespace {

using mtrain::test::FaultPlan;

struct State {
  std::mutex mutex;
  bool armed = false;
  FaultPlan plan;
  std::string log;
  long count = 0;
  bool full = false;  ///< after a short write nothing more fits
};

State& state() {
  static State* all = new State;  // outlives every other static object
  return *all;
}

/// The libc function hidden by ours.
template <class Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

void kill_children_of(pid_t parent) {
  char path[64], text[4096];
  std::snprintf(path, sizeof path, "/proc/%d/task/%d/children", parent, parent);
  const int file = static_cast<int>(syscall(SYS_openat, AT_FDCWD, path, O_RDONLY, 0));
  const long got = file < 0 ? 0 : syscall(SYS_read, file, text, sizeof text - 1);
  text[got > 0 ? got : 0] = '\0';
  for (char* at = text; *at != '\0';) {
    const auto child = static_cast<pid_t>(std::strtol(at, &at, 10));
    if (child > 0 && child != getpid()) kill(child, SIGKILL);
    while (*at == ' ') ++at;
  }
}

void act(const FaultPlan& plan) {
  switch (plan.action) {
    case FaultPlan::Action::kKill:
      kill(getpid(), SIGKILL);
      break;
    case FaultPlan::Action::kKillAll:
      kill_children_of(getppid());
      kill(getpid(), SIGKILL);
      break;
    case FaultPlan::Action::kKillParent:
      kill(getppid(), SIGKILL);
      break;
    default:
      break;
  }
}

void append(const std::string& file, const std::string& line) {
  const int log = static_cast<int>(
      syscall(SYS_openat, AT_FDCWD, file.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0666));
  if (log < 0) return;
  syscall(SYS_write, log, line.c_str(), line.size());
  syscall(SYS_close, log);
}

/// "CALL PATH (first thread)".
std::string cat_line(const std::string& call, const std::string& path,
                     const std::string& thread) {
  return call + " " + path + " (" + thread + " thread)\n";
}

enum class Verdict { kPass, kFail, kShort };

/// Counts a call on `path`; what is to become of it. Sets errno for kFail.
Verdict judge(const char* call, const std::string& path) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  if (!s.armed || path.find(s.plan.path) == std::string::npos) return Verdict::kPass;
  const long number = s.count++;
  if (!s.log.empty()) {
    const bool first = syscall(SYS_gettid) == getpid();
    append(s.log, cat_line(call, path, first ? "first" : "other"));
  }
  if (s.full && std::strcmp(call, "write") == 0) {
    errno = ENOSPC;
    return Verdict::kFail;
  }
  if (number != s.plan.number) return Verdict::kPass;
  act(s.plan);
  if (s.plan.action == FaultPlan::Action::kFail) {
    errno = s.plan.code;
    return Verdict::kFail;
  }
  const bool write = std::strcmp(call, "write") == 0;
  if (s.plan.action == FaultPlan::Action::kShort && write) return Verdict::kShort;
  if (s.plan.action == FaultPlan::Action::kShortThenFull && write) {
    s.full = true;
    return Verdict::kShort;
  }
  return Verdict::kPass;
}

std::string path_of(int file) {
  char link[64], path[4096];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  const ssize_t length = readlink(link, path, sizeof path - 1);
  return length > 0 ? std::string(path, static_cast<size_t>(length)) : std::string();
}

std::string path_at(int folder, const char* name) {
  if (name[0] == '/' || folder == AT_FDCWD) return name;
  return path_of(folder) + "/" + name;
}

bool fails(const char* call, const std::string& path) {
  return judge(call, path) == Verdict::kFail;
}

/// Of a write of `count` bytes those to let through, or -1 to fail.
ssize_t writable(int file, size_t count) {
  const Verdict verdict = judge("write", path_of(file));
  if (verdict == Verdict::kFail) return -1;
  return static_cast<ssize_t>(verdict == Verdict::kShort && count > 1 ? count / 2
                                                                      : count);
}

FaultPlan plan_of(const std::string& text) {
  FaultPlan plan;
  const size_t at = text.find('@');
  const std::string action = text.substr(0, at);
  plan.number = std::atol(text.c_str() + at + 1);
  using Action = FaultPlan::Action;
  plan.action = action == "kill"          ? Action::kKill
                : action == "kill-all"    ? Action::kKillAll
                : action == "kill-parent" ? Action::kKillParent
                : action == "short"       ? Action::kShort
                : action == "full"        ? Action::kShortThenFull
                : action == "count"       ? Action::kNone
                                          : Action::kFail;
  plan.code = std::atoi(action.c_str());
  return plan;
}

__attribute__((constructor)) void arm_by_environment() {
  const char* fault = std::getenv("MTRAIN_FAULT");
  if (!fault) return;
  const char* rank = std::getenv("OMPI_COMM_WORLD_RANK");
  const char* wanted = std::getenv("MTRAIN_FAULT_RANK");
  if (wanted && rank && std::strcmp(rank, wanted) != 0) return;
  State& s = state();
  s.plan = plan_of(fault);
  if (const char* path = std::getenv("MTRAIN_FAULT_PATH")) s.plan.path = path;
  if (const char* log = std::getenv("MTRAIN_FAULT_LOG")) s.log = log;
  s.armed = true;
}

}  // namespace

namespace mtrain::test {

void arm_fault(const FaultPlan& plan) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  s.plan = plan;
  s.count = 0;
  s.full = false;
  s.armed = true;
}

long disarm_fault() {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  s.armed = false;
  return s.count;
}

}  // namespace mtrain::test

extern "C" {

#define MTRAIN_OPEN(name)                                              \
  int name(const char* path, int flags, ...) {                         \
    va_list rest;                                                      \
    va_start(rest, flags);                                             \
    const mode_t mode = (flags & O_CREAT) ? va_arg(rest, mode_t) : 0;  \
    va_end(rest);                                                      \
    if (fails((flags & O_CREAT) ? "create" : "open", path)) return -1; \
    return next<int(const char*, int, ...)>(#name)(path, flags, mode); \
  }
MTRAIN_OPEN(open)
MTRAIN_OPEN(open64)

#define MTRAIN_OPENAT(name)                                                             \
  int name(int folder, const char* path, int flags, ...) {                              \
    va_list rest;                                                                       \
    va_start(rest, flags);                                                              \
    const mode_t mode = (flags & O_CREAT) ? va_arg(rest, mode_t) : 0;                   \
    va_end(rest);                                                                       \
    if (fails((flags & O_CREAT) ? "create" : "open", path_at(folder, path))) return -1; \
    return next<int(int, const char*, int, ...)>(#name)(folder, path, flags, mode);     \
  }
MTRAIN_OPENAT(openat)
MTRAIN_OPENAT(openat64)

#define MTRAIN_PWRITE(name, offset_type)                                   \
  ssize_t name(int file, const void* data, size_t count, offset_type at) { \
    const ssize_t allowed = writable(file, count);                         \
    if (allowed < 0) return -1;                                            \
    return next<ssize_t(int, const void*, size_t, offset_type)>(#name)(    \
        file, data, static_cast<size_t>(allowed), at);                     \
  }
MTRAIN_PWRITE(pwrite, off_t)
MTRAIN_PWRITE(pwrite64, off64_t)

ssize_t write(int file, const void* data, size_t count) {
  const ssize_t allowed = writable(file, count);
  if (allowed < 0) return -1;
  return next<ssize_t(int, const void*, size_t)>("write")(file, data,
                                                          static_cast<size_t>(allowed));
}

#define MTRAIN_PREAD(name, offset_type)                                                  \
  ssize_t name(int file, void* data, size_t count, offset_type at) {                     \
    if (fails("read", path_of(file))) return -1;                                         \
    return next<ssize_t(int, void*, size_t, offset_type)>(#name)(file, data, count, at); \
  }
MTRAIN_PREAD(pread, off_t)
MTRAIN_PREAD(pread64, off64_t)

int fsync(int file) {
  if (fails("fsync", path_of(file))) return -1;
  return next<int(int)>("fsync")(file);
}

#define MTRAIN_TRUNCATE(name, offset_type)                 \
  int name(int file, offset_type size) noexcept {          \
    if (fails("truncate", path_of(file))) return -1;       \
    return next<int(int, offset_type)>(#name)(file, size); \
  }
MTRAIN_TRUNCATE(ftruncate, off_t)
MTRAIN_TRUNCATE(ftruncate64, off64_t)

int rename(const char* from, const char* to) noexcept {
  if (fails("rename", to)) return -1;
  return next<int(const char*, const char*)>("rename")(from, to);
}

int renameat2(int from_folder, const char* from, int to_folder, const char* to,
              unsigned flags) noexcept {
  if (fails("exchange", path_at(to_folder, to))) return -1;
  return next<int(int, const char*, int, const char*, unsigned)>("renameat2")(
      from_folder, from, to_folder, to, flags);
}

int mkdir(const char* path, mode_t mode) noexcept {
  if (fails("mkdir", path)) return -1;
  return next<int(const char*, mode_t)>("mkdir")(path, mode);
}

int unlink(const char* path) noexcept {
  if (fails("unlink", path)) return -1;
  return next<int(const char*)>("unlink")(path);
}

int unlinkat(int folder, const char* path, int flags) noexcept {
  if (fails("unlink", path_at(folder, path))) return -1;
  return next<int(int, const char*, int)>("unlinkat")(folder, path, flags);
}

}  // extern "C"
