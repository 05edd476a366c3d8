// Owns what is counted on a sample; called by the token store, the preparation and the
// trainer.
#include "mtrain/data/sample.hpp"

#include <algorithm>

namespace mtrain::data {

int64_t trained_positions(std::span<const int32_t> labels) {
  if (labels.empty()) return 0;
  const auto targets = labels.subspan(1);
  return static_cast<int64_t>(targets.size()) -
         std::count(targets.begin(), targets.end(), kIgnoreLabel);
}

}  // namespace mtrain::data
