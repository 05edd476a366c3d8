// A model of a few parameters of every kind, with made-up gradients, in any layout.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>

#include "mtrain/parallel/optimizer.hpp"

namespace mtrain::test {

/// Data-parallel ranks are what is left of the world.
struct ToyLayout {
  int tensor, pipeline;
  parallel::DataParallelOptions sharding;
  int64_t bucket_elements;
  at::ScalarType dtype;
};
std::string name(const ToyLayout& layout);

/// fp32 tensors by logical name.
using Tensors = std::map<std::string, at::Tensor>;

/// The part of a logical tensor that a box covers.
at::Tensor part_of(const at::Tensor& logical, const parallel::Box& box);

/// On every stage fused row slices, among them of heads that several tensor-parallel
/// ranks hold where there are more ranks than heads, a column slice, a norm (equal on all
/// ranks) and a head norm (partial gradients); at both ends of the pipeline the rank's
/// slice of a vocabulary of 9 in up to 8 rows, so that some are padding and some slices
/// are empty.
class ToyModel {
 public:
  explicit ToyModel(const ToyLayout& layout);

  /// Weights of the logical tensors before the first step.
  Tensors initial_weights() const;
  void load_weights(const Tensors& logical);
  /// The gradients of `step`, reported in the order a backward pass makes them.
  void backward(int64_t step, parallel::GradientSync& sync);
  /// What the gradients of `step` of all ranks add up to. Multiples of 1/16 below 4: sums
  /// and squares of them are exact, so that no order of additions can hide or make a
  /// difference.
  Tensors total_gradients(int64_t step) const;

  ToyLayout layout;
  comm::RankGrid grid;
  comm::ProcessGroups groups;
  parallel::ParamBuffer buffer;

 private:
  void add_stage(int stage);
  void add_table(int chunk);

  comm::Coordinates at_;
};

}  // namespace mtrain::test
