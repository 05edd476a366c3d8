// Tries changes of a deck that does not fit, one by one and together; used by the plan
// and by runs that are out of memory.
#include <algorithm>
#include <cmath>
#include <optional>

#include "mtrain/base/error.hpp"
#include "plan_parts.hpp"

namespace mtrain::train {
namespace {

using config::Deck;

/// A deck with some changes made.
struct Attempt {
  Deck deck;
  double bytes, seconds;
  std::vector<Change> made = {};
};

class Advisor {
 public:
  Advisor(const PlannedModel& model, int world, const GpuRates& gpu)
      : model_(model), world_(world), gpu_(gpu) {}

  Attempt at(const Deck& deck) const {
    return {deck, largest_total(stage_memory(deck, model_, world_)),
            estimate_step(deck, model_, world_, gpu_).seconds};
  }

  bool fits(const Attempt& attempt) const { return attempt.bytes <= usable_memory(gpu_); }

  /// The decks with one more change that need less.
  std::vector<Attempt> smaller(const Attempt& now) const {
    std::vector<Attempt> list;
    for (const Change& change : possible_changes(now.deck, model_, world_)) {
      Attempt next = with(now.deck, change);
      next.made = now.made;
      next.made.push_back(change);
      if (next.bytes < now.bytes) list.push_back(std::move(next));
    }
    return list;
  }

  /// One change after the other, each the one that costs least time for what it saves,
  /// until it fits; then without those it does not need.
  std::optional<Attempt> combine(const Attempt& start) const {
    Attempt now = start;
    while (!fits(now)) {
      const auto next = smaller(now);
      if (next.empty()) return {};
      now = best(now, next);
    }
    for (size_t i = now.made.size(); i-- > 0;) {
      const auto less = without(start, now, i);
      if (less && fits(*less)) now = *less;
    }
    return now;
  }

 private:
  Attempt with(Deck deck, const Change& change) const {
    change(deck);
    return at(deck);
  }

  /// The fastest that fits, else the most bytes for the time.
  Attempt best(const Attempt& now, const std::vector<Attempt>& next) const {
    const auto price = [&](const Attempt& a) {
      constexpr double kFree = 0.01;  // a change that costs nothing has a price too
      const double time = std::max(a.seconds / now.seconds - 1, 0.0) + kFree;
      return time / (now.bytes - a.bytes);
    };
    return *std::ranges::min_element(next, [&](const Attempt& a, const Attempt& b) {
      if (fits(a) != fits(b)) return fits(a);
      return fits(a) ? a.seconds < b.seconds : price(a) < price(b);
    });
  }

  std::optional<Attempt> without(const Attempt& start, const Attempt& now,
                                 size_t left_out) const {
    Deck deck = start.deck;
    std::vector<Change> made;
    for (size_t i = 0; i < now.made.size(); ++i) {
      if (i == left_out) continue;
      now.made[i](deck);
      made.push_back(now.made[i]);
    }
    if (!is_valid(deck, model_, world_)) return {};
    Attempt attempt = at(deck);
    attempt.made = std::move(made);
    return attempt;
  }

  const PlannedModel& model_;
  int world_;
  const GpuRates& gpu_;
};

std::string slower(double seconds, double before) {
  return formatted("%+.0f %% time", 100 * (seconds / before - 1));
}

/// The fastest layout that fits; with micro-batches of one sample where none does with
/// the deck's.
std::vector<Candidate> other_layouts(const Deck& deck, const PlannedModel& model,
                                     int gpus, int64_t samples, const GpuRates& gpu) {
  auto found = fitting_layouts(deck, model, gpus, samples, gpu);
  if (!found.empty() || deck.train.per_device_train_batch_size == 1) return found;
  Deck small = deck;
  small.train.per_device_train_batch_size = 1;
  return fitting_layouts(small, model, gpus, samples, gpu);
}

std::string search_line(const PlanRequest& request, int gpus, const Deck& before,
                        const Deck& after) {
  return cat(
      "  all layouts that fit: ", command_with(request, changed_keys(before, after)),
      " --plan-search ", gpus, request.gpu_flags, "\n");
}

/// From how many GPUs on there is a layout, with micro-batches of one sample.
std::string more_gpus(const Deck& deck, const PlannedModel& model,
                      const PlanRequest& request, const GpuRates& gpu) {
  constexpr int kMostTimes = 64;
  Deck small = deck;
  small.train.per_device_train_batch_size = 1;
  const std::string none =
      cat("  no combination of these keys fits ", request.ranks, " of these GPUs");
  for (int times = 2; times <= kMostTimes; times *= 2) {
    const int gpus = request.ranks * times;
    // As many samples for each GPU as before.
    const int64_t samples = samples_a_step(deck, request.ranks) * times;
    if (!some_layout_fits(small, model, gpus, samples, gpu)) continue;
    return cat(none, "; ", gpus, " would do, or a lower cutoff_len\n",
               search_line(request, gpus, deck, small));
  }
  return cat(none, ", nor ", request.ranks * kMostTimes,
             " of them: lower cutoff_len, or take GPUs with more memory\n");
}

}  // namespace

std::string advice(const Deck& deck, const PlannedModel& model, int world,
                   const GpuRates& gpu) {
  const Advisor advisor(model, world, gpu);
  const Attempt now = advisor.at(deck);
  std::vector<std::pair<double, std::string>> lines;
  for (const Attempt& then : advisor.smaller(now)) {
    lines.emplace_back(
        then.bytes, cat("    ", in_words(changed_keys(deck, then.deck)), ": saves ",
                        human_bytes(now.bytes - then.bytes), ", leaves ",
                        human_bytes(then.bytes), advisor.fits(then) ? ", fits; " : "; ",
                        slower(then.seconds, now.seconds), "\n"));
  }
  std::sort(lines.begin(), lines.end());
  constexpr size_t kShown = 3;
  std::string text;
  for (size_t i = 0; i < std::min(kShown, lines.size()); ++i) text += lines[i].second;
  return text.empty() ? "    more GPUs: no single change of the deck saves memory\n"
                      : text;
}

std::string combined_advice(const Deck& deck, const PlannedModel& model,
                            const PlanRequest& request, const GpuRates& gpu) {
  const Advisor advisor(model, request.ranks, gpu);
  const Attempt now = advisor.at(deck);
  std::optional<Attempt> found = advisor.combine(now);
  if (!found) {
    const auto others = other_layouts(deck, model, request.ranks,
                                      samples_a_step(deck, request.ranks), gpu);
    if (others.empty()) return more_gpus(deck, model, request, gpu);
    found = Attempt{others[0].deck, others[0].bytes, others[0].estimate.seconds};
  }
  return cat("  with this it fits:\n    ", as_arguments(changed_keys(deck, found->deck)),
             "\n    leaves ", human_bytes(found->bytes), ", ",
             slower(found->seconds, now.seconds), "\n",
             search_line(request, request.ranks, deck, deck));
}

}  // namespace mtrain::train
