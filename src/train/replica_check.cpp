// Compares checksums of weights that several ranks hold; the trainer calls it every
// check_replicas_steps steps.
#include "replica_check.hpp"

#include <ATen/ATen.h>

#include <map>
#include <set>

#include "mtrain/base/error.hpp"

namespace mtrain::train {
namespace {

/// Sum of the bit patterns: any single flipped bit changes it, on any device, without a
/// copy to the host.
int64_t checksum(const at::Tensor& flat) {
  const auto words = flat.element_size() == 2 ? at::kShort : at::kInt;
  return flat.view(words).sum(at::kLong).item<int64_t>();
}

using Sums = std::map<std::string, std::string>;  ///< box -> checksum

Sums parse(const std::string& text) {
  Sums sums;
  for (const auto& line : split(text, '\n')) {
    const size_t tab = line.find('\t');
    if (tab != std::string::npos) sums[line.substr(0, tab)] = line.substr(tab + 1);
  }
  return sums;
}

/// The value most holders have; nothing where two are as frequent.
std::string majority(const std::map<std::string, std::vector<size_t>>& holders) {
  std::string best;
  size_t most = 0;
  bool tie = false;
  for (const auto& [value, ranks] : holders) {
    tie = ranks.size() == most || (tie && ranks.size() < most);
    if (ranks.size() > most) best = value;
    most = std::max(most, ranks.size());
  }
  return tie ? "" : best;
}

}  // namespace

std::string weight_checksums(const parallel::ParamBuffer& buffer) {
  std::string text;
  for (const auto& p : buffer.params()) {
    const at::Tensor flat = p->weight.flatten();
    for (const auto& [begin, box] : p->spec.boxes)
      text += cat(parallel::to_string(box), "\t",
                  checksum(flat.narrow(0, begin, box.size())), "\n");
  }
  return text;
}

std::vector<std::string> diverged(const std::vector<std::string>& checksums_of_ranks) {
  std::map<std::string, std::map<std::string, std::vector<size_t>>> boxes;
  for (size_t rank = 0; rank < checksums_of_ranks.size(); ++rank)
    for (const auto& [box, sum] : parse(checksums_of_ranks[rank]))
      boxes[box][sum].push_back(rank);
  std::vector<std::string> lines;
  std::set<size_t> named;
  for (const auto& [box, holders] : boxes) {
    if (holders.size() < 2) continue;
    const std::string right = majority(holders);
    for (const auto& [value, ranks] : holders)
      for (const size_t rank : ranks)
        if (value != right && named.insert(rank).second)
          lines.push_back(cat("rank ", rank, ": ", box,
                              right.empty() ? " differs between the ranks that hold it"
                                            : " differs from most copies"));
  }
  return lines;
}

void check_replicas(const parallel::ParamBuffer& buffer, int64_t step,
                    const comm::Session& session) {
  const auto lines = diverged(session.all_gather_text(weight_checksums(buffer)));
  if (lines.empty()) return;
  session.agree([&] {
    throw Error(
        cat("after step ", step, " copies of weights have diverged: ", join(lines, "; ")),
        "suspect that machine's memory or device; resume from the last "
        "checkpoint without it");
  });
}

}  // namespace mtrain::train
