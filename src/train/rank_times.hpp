// What the ranks spend the time of steps on, side by side.
#pragma once

#include <array>
#include <string>

#include "mtrain/base/activity.hpp"
#include "mtrain/comm/communicator.hpp"

namespace mtrain::train {

/// Seconds of one kind over the ranks, and the rank with the most.
struct Spread {
  double least, mean, most;
  int rank;
};

struct RankTimes {
  std::array<Spread, kDoings> of;
  /// The rank that worked longest itself (data, forward, backward, optimizer): the one
  /// the others wait for.
  int slowest;
  Spread work;  ///< of that
};

/// Collective over `world`.
RankTimes spread_over_ranks(const DoingTimes& own, comm::Communicator& world);

DoingTimes operator-(DoingTimes a, const DoingTimes& b);

/// For people: "data 0.10 s, forward 1.20 s, ...".
std::string to_string(const DoingTimes& times);
/// A table: least, mean and most of each kind.
std::string to_string(const RankTimes& times);

}  // namespace mtrain::train
