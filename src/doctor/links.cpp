// Measures the links between ranks; those that stay slow are named.
#include <ATen/ATen.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <set>
#include <thread>

#include "finding.hpp"
#include "link_verdict.hpp"
#include "mtrain/base/text.hpp"
#include "mtrain/base/timer.hpp"

namespace mtrain::doctor {
namespace {

constexpr int64_t kBytes = int64_t{8} << 20;
constexpr int kTimes = 3;
/// With more ranks only so many distances are measured, each a power of two.
constexpr int kAllPairs = 8;
/// How often links that seem slow are measured again, and the pause before.
constexpr int kMoreRounds = 5;
constexpr auto kPause = std::chrono::milliseconds(200);

std::vector<int> distances(int ranks) {
  std::vector<int> list;
  for (int d = 1; d < ranks; d = ranks <= kAllPairs ? d + 1 : 2 * d) list.push_back(d);
  return list;
}

/// Bytes a second that come from the rank `distance` before this one while all ranks send
/// alike; the best of some times, as others may use the machine.
double measure(comm::Communicator& world, int distance) {
  const int to = (world.rank() + distance) % world.size(),
            from = (world.rank() + world.size() - distance) % world.size();
  const at::Tensor out = at::zeros({kBytes}, at::kByte), in = at::empty_like(out);
  double best = 0;
  for (int i = 0; i < kTimes; ++i) {
    at::Tensor barrier = at::zeros({1});
    world.all_reduce(barrier, comm::Reduce::kSum);
    const Stopwatch clock;
    const auto receive = world.start_receive(in, from, 0);
    const auto send = world.start_send(out, to, 0);
    receive->wait();
    best = std::max(best, static_cast<double>(kBytes) / clock.seconds());
    send->wait();
  }
  return best;
}

/// "4 cores, 9 processes want them", or "" where there are enough.
std::string load(int local_ranks) {
  const auto cores = static_cast<int>(std::thread::hardware_concurrency());
  if (local_ranks > cores) return cat(local_ranks, " ranks on ", cores, " cores");
  // "0.52 0.58 0.59 3/467 12345": averages, then what runs of what there is.
  std::ifstream in("/proc/loadavg");
  double average = 0, skipped = 0;
  int running = 0;
  in >> average >> skipped >> skipped >> running;
  const int wanted = std::max(running, static_cast<int>(average));
  return wanted > cores ? cat(wanted, " processes on ", cores, " cores") : "";
}

class LinkTest {
 public:
  explicit LinkTest(const comm::Session& session) : session_(session) {
    std::vector<int> everyone;
    for (int rank = 0; rank < session.world_size(); ++rank) everyone.push_back(rank);
    world_ = session.make_group("doctor", everyone, comm::Backend::kMpi);
    char host[256] = "";
    gethostname(host, sizeof host - 1);
    hosts_ = session.all_gather_text(host);
  }

  Finding run() {
    for (const int distance : distances(session_.world_size())) measure_all(distance);
    for (int round = 0; round < kMoreRounds && !slow_links(links_).empty(); ++round) {
      // Whatever else runs may be done by then.
      std::this_thread::sleep_for(kPause);
      std::set<int> again;
      for (const Link& link : slow_links(links_)) again.insert(distance_of(link));
      for (const int distance : again) measure_all(distance);
    }
    const auto loads = session_.all_gather_text(load(session_.local_size()));
    return judge_links(links_, hosts_, loads);
  }

 private:
  int distance_of(const Link& link) const {
    const auto ranks = static_cast<size_t>(session_.world_size());
    return static_cast<int>((link.to + ranks - link.from) % ranks);
  }

  /// All links of a distance; of one that was measured before the better figure counts.
  void measure_all(int distance) {
    const auto speeds = session_.all_gather_text(cat(measure(*world_, distance)));
    for (size_t to = 0; to < speeds.size(); ++to) {
      const size_t from =
          (to + speeds.size() - static_cast<size_t>(distance)) % speeds.size();
      const double speed = std::strtod(speeds[to].c_str(), nullptr);
      const auto known = std::ranges::find_if(
          links_, [&](const Link& l) { return l.from == from && l.to == to; });
      if (known == links_.end())
        links_.push_back({speed, from, to, hosts_[from] == hosts_[to]});
      else
        known->speed = std::max(known->speed, speed);
    }
  }

  const comm::Session& session_;
  std::unique_ptr<comm::Communicator> world_;
  std::vector<std::string> hosts_;
  std::vector<Link> links_;
};

}  // namespace

Finding examine_links(const comm::Session& session) {
  return LinkTest(session).run();
}

}  // namespace mtrain::doctor
