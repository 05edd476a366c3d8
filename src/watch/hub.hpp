// Rank 0's part of the watch: hears all ranks, and judges when one stalls.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "link.hpp"
#include "rank_name.hpp"
#include "verdict.hpp"

namespace mtrain::watch {

/// How a rank's main thread stands, as its helper thread sees it.
struct Standing {
  double idle, limit;  ///< seconds
  std::string place;
};

/// Lines between the hub and a member, by their first word. To the hub: hello TOKEN RANK,
/// beat IDLE LIMIT PLACE, moment IDLE JSON, why, dumped, bye. From it: alive, tell,
/// because SENTENCE, end SENTENCE, bye.
class Hub {
 public:
  Hub(const std::string& token, double floor, std::vector<RankName> names);

  void set_floor(double floor) { floor_ = floor; }
  int port() const { return listener_.port(); }
  std::vector<int> sockets() const;

  /// To be called regularly: hears all, `seconds` after the last time, with rank 0's own
  /// standing and a way to get its moment. The sentence when the run must end.
  template <class OwnMoment>
  std::optional<std::string> look(double seconds, const Standing& own,
                                  const OwnMoment& own_moment) {
    hear(seconds, own);
    if (wants_moments()) take_own(own_moment());
    return decide(seconds);
  }

  /// Rank 0's main thread asks why; the answer of a later look comes by answer().
  void ask() { asked_ = true; }
  std::optional<std::string> answer();

  /// A rank that could not connect.
  void leave_out(int rank) { peers_[static_cast<size_t>(rank)].left = true; }
  void tell_all(const std::string& line);
  /// Whether all who can have written their dumps.
  bool all_dumped() const;

 private:
  struct Peer {
    RankReport report;
    RankName process;
    std::optional<Link> link;
    bool left = false;  ///< said farewell, or never came
    bool dumped = false;
    bool wants_reason = false;
    double limit = 0, since_end = 0;
  };

  void hear(double seconds, const Standing& own);
  void welcome();
  void hear(Peer& peer, double seconds);
  void take(Peer& peer, const std::string& line);
  bool wants_moments() const { return asking_ && !peers_[0].report.answered; }
  void take_own(Moment moment);
  std::optional<std::string> decide(double seconds);
  bool alarmed() const;
  bool silent_too_long(const Peer& peer) const;
  void start_asking();
  std::optional<std::string> conclude();

  std::string token_;
  double floor_;
  Listener listener_;
  std::vector<Peer> peers_;      ///< by rank
  std::vector<Link> strangers_;  ///< have not said who they are
  bool asked_ = false;           ///< by rank 0's own main thread
  bool asking_ = false;
  double asking_since_ = 0;
  std::optional<std::string> answer_;
};

}  // namespace mtrain::watch
