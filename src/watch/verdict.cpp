// Judges a hang; called by rank 0's helper thread.
#include "verdict.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>

#include "describe.hpp"
#include "mtrain/base/text.hpp"

namespace mtrain::watch {
namespace {

std::string seconds(double value) {
  return cat(std::round(value * 10) / 10, " s");
}

/// An operation by its place: the order of a lane is the same on all its ranks.
struct Place {
  LaneRecord lane;  ///< as the waiting rank has it
  int64_t number;
};

bool symmetric(OperationKind kind) {
  return kind != OperationKind::kBroadcast && kind != OperationKind::kSend &&
         kind != OperationKind::kReceive;
}

bool sized(OperationKind kind) {
  return kind != OperationKind::kAllToAll && kind != OperationKind::kMeeting;
}

class Court {
 public:
  explicit Court(const std::vector<RankReport>& ranks) : ranks_(ranks) {
    for (const auto& r : ranks_) by_rank_[r.rank] = &r;
  }

  Verdict judge() const {
    for (const auto& attempt :
         {&Court::gone, &Court::differing, &Court::passed_by, &Court::chain}) {
      if (auto verdict = (this->*attempt)()) return *verdict;
    }
    return nobody();
  }

 private:
  using Maybe = std::optional<Verdict>;

  static std::optional<Place> wait_of(const RankReport& r) {
    if (!r.answered || !r.moment.waits) return {};
    const auto& [lane, number] = *r.moment.waits;
    return Place{r.moment.lanes[static_cast<size_t>(lane)], number};
  }

  /// The other ranks of the place's lane that answered.
  std::vector<const RankReport*> peers(const RankReport& of, const Place& place) const {
    std::vector<const RankReport*> result;
    for (const int rank : place.lane.lane.ranks) {
      const auto found = by_rank_.find(rank);
      if (found != by_rank_.end() && rank != of.rank && found->second->answered)
        result.push_back(found->second);
    }
    return result;
  }

  /// The peer's own record of the place's lane; of a channel, that of the other end.
  static const LaneRecord* record(const RankReport& peer, const Place& place) {
    Lane wanted = place.lane.lane;
    if (wanted.is_channel()) wanted.receives = !wanted.receives;
    for (const LaneRecord& lane : peer.moment.lanes)
      if (lane.lane.key() == wanted.key()) return &lane;
    return nullptr;
  }

  static const Operation* operation(const RankReport& peer, const Place& place) {
    const LaneRecord* lane = record(peer, place);
    return lane ? lane->find(place.number) : nullptr;
  }

  static bool started(const RankReport& peer, const Place& place) {
    const LaneRecord* lane = record(peer, place);
    return lane && lane->started > place.number;
  }

  /// How the run stands without `culprits`: how many ranks wait, and how long at most.
  std::string waiting(const std::vector<int>& culprits) const {
    int others = 0;
    double longest = 0;
    for (const auto& r : ranks_) {
      if (std::ranges::find(culprits, r.rank) != culprits.end()) continue;
      ++others;
      longest = std::max(longest, r.idle);
    }
    if (others == 0) return "";
    return cat("; the ",
               others == 1 ? "other rank has" : cat("other ", others, " ranks have"),
               " waited for up to ", seconds(longest));
  }

  Maybe gone() const {
    std::vector<int> culprits;
    std::vector<std::string> parts;
    for (const auto& r : ranks_) {
      if (!r.ended && r.answered) continue;
      culprits.push_back(r.rank);
      const std::string why =
          r.ended ? " has ended without a word"
                  : cat(" has not answered for ", seconds(r.silent),
                        r.state.empty() ? "" : cat(" (its process is ", r.state, ")"));
      const std::string where =
          r.last_place.empty() ? ""
                               : cat("; when last heard of it was in ", r.last_place);
      parts.push_back(cat(r.name, why, where));
    }
    if (culprits.empty()) return {};
    return Verdict{culprits, join(parts, "; ") + waiting(culprits)};
  }

  /// Ranks whose operation at the place of a waiting one is of another kind or size than
  /// most others'.
  Maybe differing() const {
    for (const auto& r : ranks_) {
      const auto place = wait_of(r);
      if (!place) continue;
      std::map<std::pair<int, int64_t>, std::vector<const RankReport*>> groups;
      const auto sort = [&](const RankReport& who, const Operation* op) {
        if (!op) return;
        int kind = static_cast<int>(op->kind);
        if (place->lane.lane.is_channel()) kind = -1;
        groups[{kind, sized(op->kind) ? op->elements : 0}].push_back(&who);
      };
      sort(r, place->lane.find(place->number));
      for (const auto* peer : peers(r, *place)) sort(*peer, operation(*peer, *place));
      if (groups.size() > 1) return difference(groups, *place);
    }
    return {};
  }

  template <class Groups>
  Verdict difference(const Groups& groups, const Place& place) const {
    size_t most = 0, leading = 0;
    for (const auto& [what, who] : groups) {
      if (who.size() == most) ++leading;
      if (who.size() > most) leading = 1;
      most = std::max(most, who.size());
    }
    std::vector<int> culprits;
    std::vector<std::string> parts;
    const RankReport* ahead = leading > 1 ? furthest(groups) : nullptr;
    const auto usual = leading > 1 ? usual_elsewhere(groups, place) : std::nullopt;
    for (const auto& [what, who] : groups) {
      const bool minority = leading == 1 ? who.size() < most
                            : usual      ? what != *usual
                                         : !ahead || who.front() == ahead;
      for (const auto* r : who)
        if (minority) culprits.push_back(r->rank);
      parts.push_back(cat(who.front()->name, who.size() > 1 ? " and others" : "",
                          " started ",
                          watch::describe(*own_record(*who.front(), place), place.number),
                          " in ", place_of(who.front()->moment)));
    }
    std::sort(culprits.begin(), culprits.end());
    const std::string who =
        cat(culprits.size() > 1 ? "ranks " : "rank ", join(culprits, " and "));
    return {culprits, cat(who, culprits.size() > 1 ? " differ" : " differs",
                          " from the others in group ", place.lane.lane.group, ": ",
                          join(parts, ", but "), waiting(culprits))};
  }

  /// The record a rank has of the place's lane, whichever end it is.
  static const LaneRecord* own_record(const RankReport& r, const Place& place) {
    for (const LaneRecord& lane : r.moment.lanes) {
      Lane other = place.lane.lane;
      if (lane.lane.key() == other.key()) return &lane;
      other.receives = !other.receives;
      if (other.is_channel() && lane.lane.key() == other.key()) return &lane;
    }
    return nullptr;
  }

  /// Which of the groups does what ranks of other groups of this name do at the same
  /// place of their order; nothing where these do not tell.
  template <class Groups>
  auto usual_elsewhere(const Groups& groups, const Place& place) const {
    using What = typename Groups::key_type;
    std::set<What> votes;
    for (const auto& r : ranks_) {
      for (const LaneRecord& lane : r.moment.lanes) {
        const bool alike = lane.lane.group == place.lane.lane.group &&
                           lane.lane.is_channel() == place.lane.lane.is_channel() &&
                           lane.lane.ranks != place.lane.lane.ranks;
        const Operation* op = r.answered && alike ? lane.find(place.number) : nullptr;
        const int kind = op && !lane.lane.is_channel() ? static_cast<int>(op->kind) : -1;
        if (op && groups.count({kind, op->elements})) votes.insert({kind, op->elements});
      }
    }
    return votes.size() == 1 ? std::optional(*votes.begin()) : std::nullopt;
  }

  static std::pair<int64_t, int64_t> progress(const RankReport& r) {
    return {r.moment.step, r.moment.marks};
  }

  /// Of groups of equal size, the one rank that has gone further than all others; null
  /// where there is none.
  template <class Groups>
  static const RankReport* furthest(const Groups& groups) {
    std::vector<const RankReport*> all;
    for (const auto& [what, who] : groups) all.insert(all.end(), who.begin(), who.end());
    std::sort(all.begin(), all.end(),
              [](const auto* a, const auto* b) { return progress(*a) > progress(*b); });
    return all.size() > 1 && progress(*all[0]) > progress(*all[1]) ? all[0] : nullptr;
  }

  /// Ranks that are through with an operation no rank can leave before all came.
  Maybe passed_by() const {
    for (const auto& r : ranks_) {
      const auto place = wait_of(r);
      if (!place || place->lane.lane.is_channel()) continue;
      const Operation* own = place->lane.find(place->number);
      if (!own || !symmetric(own->kind)) continue;
      std::vector<const RankReport*> passed, inside = {&r};
      for (const auto* peer : peers(r, *place)) {
        const Operation* op = operation(*peer, *place);
        if (!op) continue;
        (op->done ? passed : inside).push_back(peer);
      }
      if (passed.empty()) continue;
      // One against many: the one is out of step.
      const auto& out = passed.size() > inside.size() ? inside : passed;
      const RankReport& culprit = *out.front();
      const bool left = out.front() != &r && &out == &passed;
      const std::string what = watch::describe(place->lane, place->number);
      return Verdict{
          {culprit.rank},
          cat(culprit.name, left ? " did not take part in " : " waits alone in ", what,
              left ? ", which the others wait in" : ", which the others have left",
              ", and is in ", place_of(culprit.moment), waiting({culprit.rank}))};
    }
    return {};
  }

  /// Ranks that `r` waits for: those that have not started its operation, or else those
  /// that started it and went on without waiting, as MPI only moves data of a rank that
  /// calls it.
  std::vector<const RankReport*> awaited(const RankReport& r) const {
    std::vector<const RankReport*> result;
    const auto place = wait_of(r);
    if (!place) return result;
    for (const auto* peer : peers(r, *place))
      if (!started(*peer, *place)) result.push_back(peer);
    if (!result.empty()) return result;
    for (const auto* peer : peers(r, *place)) {
      const Operation* op = operation(*peer, *place);
      const auto elsewhere = wait_of(*peer);
      const bool there =
          elsewhere && record(*peer, *place) &&
          elsewhere->lane.lane.key() == record(*peer, *place)->lane.key() &&
          elsewhere->number == place->number;
      if (op && !op->done && !there) result.push_back(peer);
    }
    return result;
  }

  Maybe chain() const {
    const RankReport* at = nullptr;  // who waits longest; where nobody waits, is idle so
    for (const auto& r : ranks_) {
      if (!r.answered) continue;
      const auto order = [](const RankReport& x) {
        return std::make_pair(x.moment.waits.has_value(), x.idle);
      };
      if (!at || order(r) > order(*at)) at = &r;
    }
    if (!at) return {};
    std::vector<const RankReport*> path;
    while (std::ranges::find(path, at) == path.end()) {
      path.push_back(at);
      const auto next = awaited(*at);
      if (next.empty()) return end_of_chain(*at, path);
      at = next.front();
    }
    path.erase(path.begin(), std::ranges::find(path, at));
    return circle(path);
  }

  Maybe end_of_chain(const RankReport& culprit,
                     const std::vector<const RankReport*>& path) const {
    if (culprit.moment.waits) return {};  // for an operation all have started
    std::string text = cat(culprit.name, " has been in ", place_of(culprit.moment),
                           " for ", seconds(culprit.idle));
    if (path.size() > 1) {
      const auto place = wait_of(*path[path.size() - 2]);
      text += cat("; rank ", path[path.size() - 2]->rank, " waits for it in ",
                  watch::describe(place->lane, place->number));
    }
    return Verdict{{culprit.rank}, text + waiting({culprit.rank})};
  }

  /// Whether `r` has started the operation of `place` in its own group of that name.
  static bool started_alike(const RankReport& r, const Place& place) {
    const Lane& wanted = place.lane.lane;
    return std::ranges::any_of(r.moment.lanes, [&](const LaneRecord& lane) {
      return lane.lane.group == wanted.group && lane.lane.tag == wanted.tag &&
             lane.lane.is_channel() == wanted.is_channel() &&
             lane.lane.receives == wanted.receives && lane.started > place.number;
    });
  }

  /// How many ranks other than `r`, which misses `missed` and waits in `present`, speak
  /// for this order of the two: they have started the one and not the other, or wait in
  /// it.
  int64_t witnesses(const RankReport& r, const Place& missed,
                    const Place& present) const {
    return std::ranges::count_if(ranks_, [&](const RankReport& other) {
      if (other.rank == r.rank || !started_alike(other, missed)) return false;
      const auto wait = wait_of(other);
      const bool there = wait && wait->number == present.number &&
                         wait->lane.lane.group == present.lane.lane.group;
      return there || !started_alike(other, present);
    });
  }

  /// Each of the path waits for the next, the last for the first. One of them went past
  /// what the one before waits in: it is at something that one has not come to yet. The
  /// others are only late. Where that does not tell, the other ranks do.
  Verdict circle(const std::vector<const RankReport*>& path) const {
    const auto before_of = [&](size_t i) -> const RankReport& {
      return *path[(i + path.size() - 1) % path.size()];
    };
    const auto order = [&](size_t i) {
      const bool past = !started_alike(before_of(i), *wait_of(*path[i]));
      return std::make_tuple(
          past, progress(*path[i]),
          witnesses(*path[i], *wait_of(before_of(i)), *wait_of(*path[i])));
    };
    size_t found = 0;
    for (size_t i = 1; i < path.size(); ++i)
      if (order(i) > order(found)) found = i;
    const RankReport *culprit = path[found], *before = &before_of(found);
    const auto missed = wait_of(*before), at = wait_of(*culprit);
    return {{culprit->rank},
            cat(culprit->name, " did not take part in ",
                watch::describe(missed->lane, missed->number), ", in which rank ",
                before->rank, " waits for it at ", place_of(before->moment),
                "; it is at ", place_of(culprit->moment), " and waits in ",
                watch::describe(at->lane, at->number), waiting({culprit->rank}))};
  }

  Verdict nobody() const {
    const RankReport* longest = nullptr;
    for (const auto& r : ranks_)
      if (!longest || r.idle > longest->idle) longest = &r;
    if (!longest) return {{}, "nothing is known of any rank"};
    const auto place = wait_of(*longest);
    return {{},
            cat("all ranks have started ",
                place ? watch::describe(place->lane, place->number) : "their operations",
                ", which does not end: ", longest->name, " has waited in ",
                place_of(longest->moment), " for ", seconds(longest->idle),
                "; the network or a device has failed")};
  }

  const std::vector<RankReport>& ranks_;
  std::map<int, const RankReport*> by_rank_;
};

}  // namespace

Verdict judge(const std::vector<RankReport>& ranks) {
  return Court(ranks).judge();
}

}  // namespace mtrain::watch
