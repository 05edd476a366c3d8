// Runs all examinations and prints them; called by main.
#include "mtrain/doctor/doctor.hpp"

#include <cstdio>
#include <map>

#include "finding.hpp"
#include "mtrain/base/log.hpp"
#include "mtrain/comm/libraries.hpp"

namespace mtrain::doctor {
namespace {

std::string line(const Finding& finding, const std::string& ranks) {
  char head[32];
  const char* verdict = finding.is_fault() ? "FAULT" : finding.doubtful ? "warn" : "ok";
  std::snprintf(head, sizeof head, "%-6s%-13s", verdict, finding.subject.c_str());
  const std::string text = head + finding.text + ranks;
  return finding.remedy.empty() ? text : cat(text, "; remedy: ", finding.remedy);
}

std::string pack(const std::vector<Finding>& findings) {
  std::vector<std::string> parts;
  for (const auto& f : findings)
    parts.push_back(cat(f.subject, '\x1f', f.text, '\x1f', f.remedy, '\x1f', f.doubtful));
  return join(parts, "\x1e");
}

std::vector<Finding> unpack(const std::string& text) {
  std::vector<Finding> findings;
  for (const auto& part : split(text, '\x1e')) {
    const auto fields = split(part, '\x1f');
    findings.push_back({fields.at(0), fields.at(1), fields.at(2), fields.at(3) == "1"});
  }
  return findings;
}

/// Prints what the ranks found, equal lines once; how many faults there were.
int print(const std::vector<std::string>& found_by_rank) {
  std::vector<std::pair<std::string, Finding>> order;
  std::map<std::string, std::vector<size_t>> ranks;
  for (size_t rank = 0; rank < found_by_rank.size(); ++rank) {
    for (const auto& f : unpack(found_by_rank[rank])) {
      const std::string key = pack({f});
      if (ranks[key].empty()) order.emplace_back(key, f);
      ranks[key].push_back(rank);
    }
  }
  int faults = 0;
  for (const auto& [key, finding] : order) {
    const auto& who = ranks[key];
    const bool all = who.size() == found_by_rank.size();
    log::info(line(
        finding,
        all ? "" : cat(" (rank", who.size() > 1 ? "s " : " ", join(who, ", "), ")")));
    faults += finding.is_fault();
  }
  return faults;
}

}  // namespace

ExitCode examine(const comm::Session& session) {
  log::info(line({"MPI", cat(comm::mpi_library(), ", ", session.world_size(),
                             session.world_size() == 1 ? " rank" : " ranks")},
                 ""));
  int faults = print(session.all_gather_text(pack(examine_machine(session))));
  std::vector<Finding> together = {examine_shared_files(session)};
  if (session.world_size() > 1) together.push_back(examine_links(session));
  for (const auto& finding : together) {
    log::info(line(finding, ""));
    faults += finding.is_fault();
  }
  log::info(faults == 0 ? "healthy" : cat(faults, faults == 1 ? " fault" : " faults"));
  return faults == 0 ? kExitOk : kExitFailure;
}

}  // namespace mtrain::doctor
