// Which layers of a chunk are kept and which are computed again.
#pragma once

#include <algorithm>
#include <vector>

#include "mtrain/models/model.hpp"

namespace mtrain::models::qwen3 {

/// Layers [begin, end) of a chunk, kept or recomputed as a whole.
struct RecomputeGroup {
  int begin, end;
  bool recompute;
};

/// Cuts a chunk of `layers` layers.
inline std::vector<RecomputeGroup> recompute_groups(int layers,
                                                    const Recompute& recompute) {
  std::vector<RecomputeGroup> groups;
  const bool uniform = recompute.full == Recompute::Full::kUniform;
  const int width = uniform ? recompute.layers : 1;
  for (int begin = 0; begin < layers; begin += width) {
    const bool in_block =
        recompute.full == Recompute::Full::kBlock && begin < recompute.layers;
    groups.push_back({begin, std::min(begin + width, layers), uniform || in_block});
  }
  return groups;
}

}  // namespace mtrain::models::qwen3
