// Owns the check of a layout against the number of ranks; called once that number is
// known.
#include <numeric>

#include "checker.hpp"

namespace mtrain::config {

namespace {

/// The divisors of `number` at or below `value` and above it: "2 or 4".
std::string near_divisors(int64_t number, int64_t value) {
  int64_t below = 1, above = 0;
  const auto consider = [&](int64_t divisor) {
    if (divisor <= value) {
      below = std::max(below, divisor);
    } else if (above == 0 || divisor < above) {
      above = divisor;
    }
  };
  for (int64_t divisor = 1; divisor * divisor <= number; ++divisor) {
    if (number % divisor != 0) continue;
    consider(divisor);
    consider(number / divisor);
  }
  return above == 0 ? cat(below) : cat(below, " or ", above);
}

struct Axis {
  const char* key;
  int64_t size;
};

/// "A x B x C = N" with the keys' names.
std::string product_text(const std::vector<Axis>& axes, int64_t product) {
  std::vector<std::string> parts;
  for (const Axis& axis : axes) parts.push_back(cat(axis.key, " ", axis.size));
  return cat(join(parts, " x "), " = ", product);
}

/// Faults unless the product of the axes divides the number of ranks.
void check_divides(const std::vector<Axis>& axes, int64_t world, Faults& faults) {
  int64_t product = 1;
  // Sizes are at most 2^31, so saturating early keeps the product within 64 bits.
  for (const Axis& axis : axes) {
    product = std::min<int64_t>(product * axis.size, int64_t{1} << 31);
  }
  if (world % product == 0) return;
  std::string suggestion;
  const int64_t below = world / product * product;
  if (product < (int64_t{1} << 31)) {
    suggestion = below > 0 ? cat("start ", below, " or ", below + product, " ranks")
                           : cat("start ", product, " ranks");
  }
  for (const Axis& axis : axes) {
    const int64_t others = product / axis.size;
    if (axis.size == 1 || world % others != 0) continue;
    suggestion += cat(suggestion.empty() ? "write " : ", or write ", axis.key, " = ",
                      near_divisors(world / others, axis.size));
    break;
  }
  faults.add("", cat(world, " ranks are not a multiple of ", product_text(axes, product)),
             suggestion);
}

}  // namespace

int data_parallel_size(const Deck& deck, int world_size) {
  const Parallel& parallel = deck.parallel;
  const int64_t each = int64_t{parallel.tensor_model_parallel_size} *
                       parallel.context_parallel_size *
                       parallel.pipeline_model_parallel_size;
  return static_cast<int>(world_size / each);
}

int64_t rank_multiple(const Deck& deck) {
  const Parallel& p = deck.parallel;
  const int64_t dense = int64_t{p.tensor_model_parallel_size} * p.context_parallel_size;
  const int64_t experts =
      int64_t{p.expert_model_parallel_size} * p.expert_tensor_parallel_size;
  constexpr int64_t kMost = int64_t{1} << 31;  // keeps the product within 64 bits
  const int64_t stage = std::lcm(std::min(dense, kMost), std::min(experts, kMost));
  return std::min(stage, kMost) * p.pipeline_model_parallel_size;
}

void validate_layout(const Deck& deck, int world_size) {
  const Parallel& parallel = deck.parallel;
  const Axis tensor{"tensor_model_parallel_size", parallel.tensor_model_parallel_size};
  const Axis context{"context_parallel_size", parallel.context_parallel_size};
  const Axis pipeline{"pipeline_model_parallel_size",
                      parallel.pipeline_model_parallel_size};
  const Axis expert{"expert_model_parallel_size", parallel.expert_model_parallel_size};
  const Axis expert_tensor{"expert_tensor_parallel_size",
                           parallel.expert_tensor_parallel_size};
  Faults faults;
  if (world_size < 1) {
    faults.add("", cat("the number of ranks is ", world_size), "start at least 1 rank");
  } else {
    check_divides({tensor, pipeline, context}, world_size, faults);
    if (expert.size * expert_tensor.size > 1) {
      check_divides({expert, expert_tensor, pipeline}, world_size, faults);
    }
  }
  faults.throw_if_any(cat("the layout for ", world_size, " ranks"));
}

}  // namespace mtrain::config
