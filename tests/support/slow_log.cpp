// A library loaded before libc that makes each line of a run's log take MTRAIN_SLOW_MS
// milliseconds, while ranks that wait for another sleep: slow steps that cost no
// processor time.
#include <dlfcn.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

void delay(int file) {
  static const char* const milliseconds = std::getenv("MTRAIN_SLOW_MS");
  if (!milliseconds) return;
  char link[64], path[4096];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  const ssize_t length = readlink(link, path, sizeof path - 1);
  path[length > 0 ? length : 0] = '\0';
  if (std::strstr(path, "/trainer_log.jsonl"))
    usleep(static_cast<useconds_t>(1000 * std::atol(milliseconds)));
}

template <class Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {

/// What Open MPI calls while it waits, with mpi_yield_when_idle.
int sched_yield() noexcept {
  constexpr useconds_t kPause = 300;
  return usleep(kPause);
}

ssize_t write(int file, const void* data, size_t count) {
  delay(file);
  return next<ssize_t(int, const void*, size_t)>("write")(file, data, count);
}

ssize_t writev(int file, const iovec* parts, int count) {
  delay(file);
  return next<ssize_t(int, const iovec*, int)>("writev")(file, parts, count);
}

}  // extern "C"
