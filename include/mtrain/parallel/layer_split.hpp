// Which decoder layers each pipeline stage and chunk holds. Pure arithmetic.
#pragma once

#include <optional>
#include <string>
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

/// Other uneven ends with which these layers, stages and chunks work, the most even ones
/// first; `options` itself with no key of its own where the layers divide. Empty where
/// nothing does.
std::vector<LayerSplitOptions> working_splits(const LayerSplitOptions& options);

/// The deck's keys and values of an uneven split: "num_layers_in_last_pipeline_stage =
/// 10". Empty for an even one.
std::string split_keys(const LayerSplitOptions& options);

/// ranges[virtual stage], virtual stage = chunk * stages + stage, in forward order.
/// Throws UserError when the layers do not divide, naming keys and values with which
/// they would.
std::vector<LayerRange> split_layers(const LayerSplitOptions& options);

}  // namespace mtrain::parallel
