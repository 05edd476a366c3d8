// Owns the mapping of dataset files into memory; called by the record files and the
// settings of stores.
#include "mapped_file.hpp"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <deque>
#include <mutex>
#include <utility>
#include <vector>

#include "mtrain/base/error.hpp"
#include "mtrain/base/file.hpp"

namespace mtrain::data {
namespace {

/// Reading a mapped file behind an end that it got meanwhile raises SIGBUS. The guard
/// puts zeros there instead, so that the reader comes to the place where it compares the
/// file with what it was (InputWatch).
class TruncationGuard {
 public:
  static TruncationGuard& instance() {
    static TruncationGuard guard;
    return guard;
  }

  void add(const char* begin, size_t size) {
    const std::lock_guard lock(mutex_);
    install();
    if (free_.empty()) {
      ranges_.emplace_back().next = last_.load();
      last_ = &ranges_.back();
      free_.push_back(last_);
    }
    Range* range = free_.back();
    free_.pop_back();
    range->end = reinterpret_cast<uintptr_t>(begin) + size;
    range->begin = reinterpret_cast<uintptr_t>(begin);
  }

  void remove(const char* begin) {
    const std::lock_guard lock(mutex_);
    for (Range& range : ranges_) {
      if (range.begin != reinterpret_cast<uintptr_t>(begin)) continue;
      range.begin = range.end = 0;
      free_.push_back(&range);
    }
  }

 private:
  /// Ranges are never taken out of their chain, so that a handler can walk along it at
  /// any time; unused ones are empty.
  struct Range {
    std::atomic<uintptr_t> begin = 0, end = 0;
    std::atomic<const Range*> next = nullptr;
  };

  // Others may have set a handler of theirs since the last time.
  void install() {
    struct sigaction action {};
    struct sigaction before {};
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGBUS, &action, &before);
    if (before.sa_sigaction != on_bus_error) previous_ = before;
  }

  // What is not ours is raised again for whoever cared for it before.
  static void on_bus_error(int, siginfo_t* info, void*) {
    const TruncationGuard& guard = instance();
    if (!guard.fill(reinterpret_cast<uintptr_t>(info->si_addr)))
      sigaction(SIGBUS, &guard.previous_, nullptr);
  }

  bool fill(uintptr_t address) const {
    for (const Range* range = last_; range != nullptr; range = range->next) {
      if (address < range->begin || address >= range->end) continue;
      const uintptr_t page = address / page_ * page_;
      return ::mmap(reinterpret_cast<void*>(page), range->end - page, PROT_READ,
                    MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
    }
    return false;
  }

  std::mutex mutex_;
  std::deque<Range> ranges_;
  std::vector<Range*> free_;
  std::atomic<Range*> last_ = nullptr;  ///< head of the chain
  uintptr_t page_ = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  struct sigaction previous_ {};
};

}  // namespace

MappedFile::MappedFile(const std::string& path) {
  const File file = File::open_input(path);
  const auto size = static_cast<size_t>(file.size());
  if (size == 0) return;
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.descriptor(), 0);
  if (data == MAP_FAILED)
    throw UserError(cat("cannot read ", path, ": ", std::strerror(errno)),
                    "put the file on a file system that can map files");
  bytes_ = {static_cast<const char*>(data), size};
  TruncationGuard::instance().add(bytes_.data(), size);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : bytes_(std::exchange(other.bytes_, {})) {}

MappedFile::~MappedFile() {
  if (bytes_.empty()) return;
  TruncationGuard::instance().remove(bytes_.data());
  ::munmap(const_cast<char*>(bytes_.data()), bytes_.size());
}

}  // namespace mtrain::data
