// Layer counts per virtual stage, with Megatron-LM's rules for uneven first and last
// stages.
#include "mtrain/parallel/layer_split.hpp"

#include "mtrain/base/error.hpp"

namespace mtrain::parallel {
namespace {

/// value / divisor, or a UserError that says which counts would divide.
int divide(int value, int divisor, const std::string& what) {
  if (divisor > 0 && value >= divisor && value % divisor == 0) return value / divisor;
  const int below = divisor > 0 ? value / divisor * divisor : 0;
  throw UserError(cat(what, ": ", value, " layers do not divide over ", divisor),
                  cat("use num_layers_in_first_pipeline_stage / "
                      "num_layers_in_last_pipeline_stage, or a model of ",
                      below > 0 ? cat(below, " or ") : std::string(), below + divisor,
                      " such layers"));
}

/// Layers of each virtual stage when the embedding and the loss head count as layers.
std::vector<int> accounted_counts(const LayerSplitOptions& o) {
  const int total = o.layers + o.account_for_embedding + o.account_for_loss;
  const int places = o.stages * o.chunks;
  const int each = divide(total, places,
                          cat("pipeline stages x chunks with account_for_embedding_in_"
                              "pipeline_split / account_for_loss_in_pipeline_split"));
  std::vector<int> counts(static_cast<size_t>(places), each);
  counts.front() -= o.account_for_embedding;
  counts.back() -= o.account_for_loss;
  if (counts.front() < 0 || counts.back() < 0) {
    throw UserError(
        "account_for_*_in_pipeline_split leaves a stage with fewer than 0 layers");
  }
  return counts;
}

/// Layers of each stage from the explicit first and last counts; the rest evenly between.
std::vector<int> stage_counts(const LayerSplitOptions& o) {
  int rest = o.layers, between = o.stages;
  for (const auto& count : {o.first_stage_layers, o.last_stage_layers}) {
    if (!count) continue;
    rest -= *count;
    --between;
  }
  if (rest < 0 || (between == 0 && rest != 0)) {
    throw UserError(
        cat("num_layers_in_first_pipeline_stage and "
            "num_layers_in_last_pipeline_stage do not add up to the model's ",
            o.layers, " layers"));
  }
  const char* what =
      between < o.stages ? "middle pipeline stages" : "pipeline_model_parallel_size";
  const int each = between == 0 ? 0 : divide(rest, between, what);
  std::vector<int> counts(static_cast<size_t>(o.stages), each);
  if (o.first_stage_layers) counts.front() = *o.first_stage_layers;
  if (o.last_stage_layers) counts.back() = *o.last_stage_layers;
  return counts;
}

std::vector<int> virtual_stage_counts(const LayerSplitOptions& o) {
  if (o.account_for_embedding || o.account_for_loss) {
    if (o.first_stage_layers || o.last_stage_layers) {
      throw UserError(
          "account_for_*_in_pipeline_split cannot be combined with "
          "num_layers_in_first_pipeline_stage / num_layers_in_last_pipeline_stage",
          "use one of the two");
    }
    return accounted_counts(o);
  }
  const auto stages = stage_counts(o);
  std::vector<int> counts;
  for (int chunk = 0; chunk < o.chunks; ++chunk) {
    for (const int stage : stages) {
      counts.push_back(divide(stage, o.chunks, "virtual_pipeline_model_parallel_size"));
    }
  }
  return counts;
}

}  // namespace

std::vector<LayerRange> split_layers(const LayerSplitOptions& options) {
  if ((options.first_stage_layers || options.last_stage_layers) && options.stages < 2) {
    throw UserError(
        "num_layers_in_first_pipeline_stage / num_layers_in_last_pipeline_stage need "
        "pipeline_model_parallel_size >= 2");
  }
  std::vector<LayerRange> ranges;
  int begin = 0;
  for (const int count : virtual_stage_counts(options)) {
    ranges.push_back({begin, begin + count});
    begin += count;
  }
  return ranges;
}

}  // namespace mtrain::parallel
