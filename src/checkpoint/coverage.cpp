// Subtraction of boxes; proves that checkpoints and exports are complete.
#include "coverage.hpp"

namespace mtrain::checkpoint {
namespace {

using parallel::Box;

/// Appends the boxes of `rest` less `hole`: per dim one slab before and one after the
/// hole.
void subtract(Box rest, const Box& hole, std::vector<Box>& out) {
  const auto common = parallel::intersect(rest, hole);
  if (!common) {
    out.push_back(std::move(rest));
    return;
  }
  for (size_t d = 0; d < rest.full.size(); ++d) {
    const int64_t begin = rest.offset[d], end = begin + rest.extent[d];
    const int64_t hole_end = common->offset[d] + common->extent[d];
    const auto add_slab = [&](int64_t from, int64_t to) {
      if (from >= to) return;
      Box slab = rest;
      slab.offset[d] = from;
      slab.extent[d] = to - from;
      out.push_back(std::move(slab));
    };
    add_slab(begin, common->offset[d]);
    add_slab(hole_end, end);
    rest.offset[d] = common->offset[d];
    rest.extent[d] = common->extent[d];
  }
}

}  // namespace

std::vector<Box> uncovered(const Box& whole, const std::vector<Box>& boxes) {
  std::vector<Box> rest;
  if (whole.size() > 0) rest.push_back(whole);
  for (const Box& box : boxes) {
    if (rest.empty()) break;
    std::vector<Box> next;
    for (Box& part : rest) subtract(std::move(part), box, next);
    rest = std::move(next);
  }
  return rest;
}

Box whole_box(const std::string& tensor, const parallel::Shape& shape) {
  return {tensor, shape, parallel::Shape(shape.size(), 0), shape};
}

}  // namespace mtrain::checkpoint
