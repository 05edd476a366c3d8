// Arithmetic of boxes: sizes, intersections, printing; called by everything that moves
// tensors.
#include "mtrain/parallel/box.hpp"

#include <algorithm>

#include "mtrain/base/error.hpp"

namespace mtrain::parallel {

int64_t numel(const Shape& shape) {
  int64_t count = 1;
  for (const int64_t extent : shape) {
    MT_CHECK(extent >= 0, "negative extent in shape [", join(shape, ", "), "]");
    MT_CHECK(!__builtin_mul_overflow(count, extent, &count), "shape [", join(shape, ", "),
             "] has too many elements");
  }
  return count;
}

std::optional<Box> intersect(const Box& a, const Box& b) {
  MT_CHECK(a.tensor == b.tensor && a.full == b.full, to_string(a), " and ", to_string(b),
           " are boxes of different tensors");
  Box common = a;
  for (size_t d = 0; d < a.full.size(); ++d) {
    const int64_t begin = std::max(a.offset[d], b.offset[d]);
    const int64_t end = std::min(a.offset[d] + a.extent[d], b.offset[d] + b.extent[d]);
    if (begin >= end) return std::nullopt;
    common.offset[d] = begin;
    common.extent[d] = end - begin;
  }
  return common;
}

std::string to_string(const Box& box) {
  MT_CHECK(box.offset.size() == box.extent.size(), box.tensor, " has a broken box");
  std::vector<std::string> ranges;
  for (size_t d = 0; d < box.extent.size(); ++d)
    ranges.push_back(cat(box.offset[d], ":", box.offset[d] + box.extent[d]));
  return cat(box.tensor, "[", join(ranges, ", "), "]");
}

}  // namespace mtrain::parallel
