// Measures the links between ranks; slow ones are named.
#include <ATen/ATen.h>
#include <unistd.h>

#include <algorithm>

#include "finding.hpp"
#include "mtrain/base/text.hpp"
#include "mtrain/base/timer.hpp"

namespace mtrain::doctor {
namespace {

constexpr int64_t kBytes = int64_t{8} << 20;
constexpr int kTimes = 3;
/// With more ranks only so many distances are measured, each a power of two.
constexpr int kAllPairs = 8;

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

struct LinkSpeed {
  double speed;
  size_t from, to;
};

}  // namespace

Finding examine_links(const comm::Session& session) {
  std::vector<int> everyone;
  for (int rank = 0; rank < session.world_size(); ++rank) everyone.push_back(rank);
  const auto world = session.make_group("doctor", everyone, comm::Backend::kMpi);
  std::vector<LinkSpeed> links;
  for (const int distance : distances(session.world_size())) {
    const auto speeds = session.all_gather_text(cat(measure(*world, distance)));
    for (size_t to = 0; to < speeds.size(); ++to) {
      const size_t from =
          (to + speeds.size() - static_cast<size_t>(distance)) % speeds.size();
      links.push_back({std::strtod(speeds[to].c_str(), nullptr), from, to});
    }
  }
  std::ranges::sort(links, {}, &LinkSpeed::speed);
  char host[256] = "";
  gethostname(host, sizeof host - 1);
  const auto hosts = session.all_gather_text(host);
  const auto name = [&](size_t rank) { return cat("rank ", rank, " on ", hosts[rank]); };
  const LinkSpeed& slowest = links.front();
  const double middle = links[links.size() / 2].speed;
  const std::string text =
      cat(links.size(), " links over MPI, in the middle ", human_bytes(middle),
          "/s, slowest ", human_bytes(slowest.speed), "/s from ", name(slowest.from),
          " to ", name(slowest.to));
  constexpr double kMuchSlower = 4;
  return {"links", text,
          slowest.speed * kMuchSlower < middle
              ? "look at the network between these two machines, and at which one MPI "
                "uses (OMPI_MCA_btl_tcp_if_include)"
              : ""};
}

}  // namespace mtrain::doctor
