// Owns what a full disk refused of a growing file; logs and event files are written
// through it.
#include "mtrain/base/journal.hpp"

namespace mtrain {

Journal::Journal(const std::filesystem::path& path) : file_(File::open_to_append(path)) {}

void Journal::add(std::string_view record) {
  kept_ += record;
  write();
}

std::string Journal::fault() {
  write();
  return fault_;
}

void Journal::write() {
  fault_.clear();
  kept_.erase(0, file_.append(kept_, fault_));
}

}  // namespace mtrain
