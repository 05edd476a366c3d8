// Owns the record-level fault policy; filled by readers and converters, judged by
// prepare().
#include "fault_log.hpp"

#include "mtrain/base/error.hpp"

namespace mtrain::data {

namespace {
constexpr size_t kShown = 5;
}

void FaultLog::add(const std::string& path, int64_t number, std::string_view what) {
  ++count_;
  if (first_.size() < kShown)
    first_.push_back(cat("  ", path, ", record ", number, ": ", what));
}

void FaultLog::throw_if_any() const {
  if (count_ == 0) return;
  const int64_t rest = count_ - static_cast<int64_t>(first_.size());
  throw UserError(cat(count_, " malformed record", count_ == 1 ? "" : "s", ":\n",
                      join(first_, "\n"), rest > 0 ? cat("\n  and ", rest, " more") : ""),
                  "correct or remove these records");
}

}  // namespace mtrain::data
