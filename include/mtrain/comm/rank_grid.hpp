// The rank grid: which rank sits where on each parallel axis. Pure arithmetic, no MPI
// call.
#pragma once

#include <string>
#include <vector>

namespace mtrain::comm {

/// Sizes of the parallel axes. world = tensor * context * data * pipeline; expert
/// parallelism folds into data * context (and tensor, when expert_tensor = 1), it never
/// multiplies the world.
struct GridSizes {
  int world = 1;
  int tensor = 1;
  int context = 1;
  int expert = 1;
  int expert_tensor = 1;
  int pipeline = 1;
};

enum class Axis {
  kTensor,
  kContext,
  kData,
  kDataContext,  ///< data x context: the ranks that hold the same dense parameters
  kPipeline,
  kEmbedding,  ///< first and last pipeline stage, which share tied embeddings
  kExpert,
  kExpertTensor,
  kExpertData,  ///< the ranks that hold the same experts
};
std::string to_string(Axis axis);

struct Coordinates {
  int tensor, context, data, pipeline;
};

/// Rank order "tp-cp-ep-dp-pp" as Megatron-LM: tensor varies fastest, pipeline slowest.
class RankGrid {
 public:
  /// Throws UserError when the sizes do not divide the world, with the values involved.
  explicit RankGrid(const GridSizes& sizes);

  const GridSizes& sizes() const { return sizes_; }
  int data_size() const { return data_size_; }
  Coordinates coordinates(int rank) const;
  int rank_at(const Coordinates& at) const;

  /// The ranks that share all other coordinates with `rank`, in axis order (so the
  /// position in the list is the coordinate).
  std::vector<int> group(Axis axis, int rank) const;

 private:
  std::vector<int> expert_group(Axis axis, int rank) const;

  GridSizes sizes_;
  int data_size_;
};

}  // namespace mtrain::comm
