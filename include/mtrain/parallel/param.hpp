// Parameters: what a rank holds of each logical tensor, and where its weight and gradient
// live.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "mtrain/parallel/box.hpp"

namespace mtrain::parallel {

/// A box of a logical tensor and its place in a local parameter: the local elements
/// [begin, begin + box.size()) hold the box row by row.
struct LocalBox {
  int64_t begin;
  Box box;
};

enum class Init { kNormal, kOnes };

/// What the tensor-parallel ranks hold of a parameter.
enum class TensorRole {
  kSharded,     ///< each rank its own part
  kReplicated,  ///< equal copies whose gradients come out equal
  kPartial,     ///< equal copies whose gradients must be summed over the ranks
};

/// Local elements that several tensor-parallel ranks hold alike, each with a part of
/// their gradient: key and value heads where there are fewer of them than ranks.
struct SharedRange {
  int64_t begin, end;
  int slot, slots;  ///< ranks of the same slot hold the same elements; there are `slots`
  bool owner;       ///< this rank is the one that counts and saves them
};

struct ParamSpec {
  std::string name;  ///< local name, "layers.3.attention.qkv"; unique on the rank
  Shape shape;       ///< local shape
  std::vector<LocalBox> boxes;  ///< what it is made of; elements outside are padding
  Init init;
  TensorRole role;
  bool tied;  ///< a copy lives on the first and on the last pipeline stage
  std::vector<SharedRange> shared = {};  ///< sorted, only with role kSharded
  bool expert = false;  ///< the same on the expert-data ranks, not on the data ranks

  /// AdamW decays matrices and embeddings, never norms or biases (HF and LLaMA-Factory).
  bool decays() const { return shape.size() >= 2; }
};

/// The boxes that cover local elements [begin, end) of the parameter, padding left out. A
/// contiguous range of a row-major box is at most three boxes per dimension pair.
std::vector<LocalBox> boxes_of_range(const ParamSpec& spec, int64_t begin, int64_t end);

/// One parameter of this rank. Layers compute with `weight` and add to `grad`; both are
/// views into the flat buffers of ParamBuffer.
struct Parameter {
  ParamSpec spec;
  int chunk;          ///< model chunk (virtual pipeline stage) of this rank it belongs to
  at::Tensor weight;  ///< model dtype, spec.shape
  at::Tensor grad;    ///< fp32, spec.shape
  /// The gradient still holds an earlier step's values: whoever comes first overwrites
  /// them. Only matrices; vectors are zeroed at the start of a step.
  bool grad_is_stale = false;
  /// The gradient, to add to: zeroed first where it is stale.
  at::Tensor& grad_to_add_to();
  int bucket = -1;
  int64_t begin = 0;  ///< first element in the flat buffer
};

}  // namespace mtrain::parallel
