// Owns the joining of several faults into one message; used by checks before a run.
#include "mtrain/base/fault_list.hpp"

#include <algorithm>
#include <cstring>

namespace mtrain {

void FaultList::add(const UserError& fault) {
  const bool known = std::ranges::any_of(faults_, [&](const UserError& other) {
    return std::strcmp(other.what(), fault.what()) == 0;
  });
  if (!known) faults_.push_back(fault);
}

void FaultList::add(const FaultList& others, const std::string& remedy) {
  for (const UserError& fault : others.faults_)
    add(fault.remedy().empty() ? UserError(fault.what(), remedy) : fault);
}

void FaultList::throw_if_any() const {
  if (faults_.empty()) return;
  if (faults_.size() == 1) throw faults_.front();
  std::vector<std::string> lines;
  for (const UserError& fault : faults_) {
    const bool bare = fault.remedy().empty();
    lines.push_back(cat(fault.what(), bare ? "" : "\n    -> ", fault.remedy()));
  }
  throw UserError(cat(faults_.size(), " faults:\n  ", join(lines, "\n  ")),
                  "mend each of them as said behind its arrow, and check again");
}

}  // namespace mtrain
