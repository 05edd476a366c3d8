// Boxes: rectangles of logical tensors (Hugging Face names and shapes), the only language
// checkpoints, model loading and sharding share.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace mtrain::parallel {

using Shape = std::vector<int64_t>;

int64_t numel(const Shape& shape);

/// A rectangle of the logical tensor `tensor` of shape `full`: `extent` elements along
/// each dimension, starting at `offset`.
struct Box {
  std::string tensor;
  Shape full;
  Shape offset;
  Shape extent;

  int64_t size() const { return numel(extent); }
  bool operator==(const Box&) const = default;
};

/// The part both boxes cover, or nothing. The boxes must be of the same tensor.
std::optional<Box> intersect(const Box& a, const Box& b);

/// "model.norm.weight[0:64]": for messages.
std::string to_string(const Box& box);

}  // namespace mtrain::parallel
