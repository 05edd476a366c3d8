// One training sample: token ids and their labels, as the token store holds them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace mtrain::data {

/// Label of a position that is not trained on.
inline constexpr int32_t kIgnoreLabel = -100;

/// What the samples are for; the token store names it in its attribute `stage`.
enum class Stage { kPt, kSft, kDpo };

/// input_ids and labels have the same length L; labels are unshifted: labels[t] is
/// input_ids[t] or kIgnoreLabel. The model runs over tokens 0..L-2, its targets are
/// labels 1..L-1.
struct Sample {
  std::vector<int32_t> input_ids;
  std::vector<int32_t> labels;
};

/// Number of targets among labels[1..L-1]: at most L-1, and 0 for an empty sample.
int64_t trained_positions(std::span<const int32_t> labels);

}  // namespace mtrain::data
