// Owns the trial opening of old-format HDF5 files in a child process; called by the token
// store's reader.
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <exception>
#include <fstream>

#include "mtrain/base/text.hpp"
#include "token_store_fence.hpp"

namespace mtrain::data {
namespace {

constexpr size_t kVersionByte = 8;  // of the superblock, behind the signature
constexpr char kFirstWithChecksums = 2;
constexpr unsigned kSecondsToOpen = 60;

// Files that can't be read at all count as well: opening them names the reason.
bool has_checksums(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  char start[kVersionByte + 1] = {};
  file.read(start, sizeof start);
  return !file.good() || start[kVersionByte] >= kFirstWithChecksums;
}

[[noreturn]] void run_child(const std::function<void()>& open) {
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGALRM})
    std::signal(signal, SIG_DFL);
  ::alarm(kSecondsToOpen);
  try {
    open();
  } catch (const std::exception&) {
    // The parent meets the same fault and reports it.
  }
  ::_exit(0);
}

}  // namespace

void probe_old_format(const std::string& path, const std::function<void()>& open) {
  if (has_checksums(path)) return;
  const pid_t child = ::fork();
  if (child == 0) run_child(open);
  if (child < 0) return;
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (status == 0) return;
  const std::string end =
      WIFSIGNALED(status) ? cat("dies of signal ", WTERMSIG(status)) : "ends the program";
  refuse_store(path, cat("damaged: the HDF5 library ", end, " when it opens the file"));
}

}  // namespace mtrain::data
