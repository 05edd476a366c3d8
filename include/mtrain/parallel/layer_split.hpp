// Which decoder layers each pipeline stage and chunk holds. Pure arithmetic.
#pragma once

#include <optional>
#include <vector>

namespace mtrain::parallel {

struct LayerSplitOptions {
  int layers;
  int stages;
  int chunks;  ///< model chunks per stage (virtual_pipeline_model_parallel_size), 1 for
               ///< none
  std::optional<int> first_stage_layers;
  std::optional<int> last_stage_layers;
  bool account_for_embedding;  ///< the embedding counts as one layer of the first chunk
  bool account_for_loss;       ///< the loss head counts as one layer of the last chunk
};

struct LayerRange {
  int begin, end;
  int size() const { return end - begin; }
};

/// ranges[virtual stage], virtual stage = chunk * stages + stage, in forward order.
/// Throws UserError when the layers do not divide, naming the keys and the nearest layer
/// counts.
std::vector<LayerRange> split_layers(const LayerSplitOptions& options);

}  // namespace mtrain::parallel
