// Owns the judgement over measured links: arithmetic alone; called by the doctor.
#include "link_verdict.hpp"

#include <algorithm>

#include "mtrain/base/text.hpp"

namespace mtrain::doctor {
namespace {

constexpr double kMuchSlower = 4;

/// Of the links of one kind; 0 where there are none.
double middle_speed(const std::vector<Link>& links, bool on_one_machine) {
  std::vector<double> speeds;
  for (const Link& link : links)
    if (link.on_one_machine == on_one_machine) speeds.push_back(link.speed);
  std::ranges::sort(speeds);
  return speeds.empty() ? 0 : speeds[speeds.size() / 2];
}

}  // namespace

std::vector<Link> slow_links(const std::vector<Link>& links) {
  std::vector<Link> slow;
  for (const Link& link : links)
    if (link.speed * kMuchSlower < middle_speed(links, link.on_one_machine))
      slow.push_back(link);
  return slow;
}

Finding judge_links(std::vector<Link> links, const std::vector<std::string>& hosts,
                    const std::vector<std::string>& loads) {
  std::ranges::sort(links, {}, &Link::speed);
  const auto slow = slow_links(links);
  const Link& named = slow.empty() ? links.front() : slow.front();
  const auto name = [&](size_t rank) { return cat("rank ", rank, " on ", hosts[rank]); };
  const std::string text =
      cat(links.size(), " links over MPI, in the middle ",
          human_bytes(links[links.size() / 2].speed), "/s, ",
          slow.empty() ? "slowest " : "much slower ", human_bytes(named.speed),
          "/s from ", name(named.from), " to ", name(named.to));
  if (slow.empty()) return {"links", text};
  const std::string& load =
      loads[named.from].empty() ? loads[named.to] : loads[named.from];
  if (!load.empty())
    return {"links", cat(text, "; the machine is busy (", load, ")"),
            "measure again when nothing else runs there", true};
  return {"links", text,
          named.on_one_machine
              ? "look at what else uses this machine, and at the size of /dev/shm"
              : "look at the network between these two machines, and at which one MPI "
                "uses (OMPI_MCA_btl_tcp_if_include)"};
}

}  // namespace mtrain::doctor
