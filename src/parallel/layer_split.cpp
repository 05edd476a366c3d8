// Layer counts per virtual stage, with Megatron-LM's rules for uneven first and last
// stages.
#include "mtrain/parallel/layer_split.hpp"

#include <utility>

#include "mtrain/base/error.hpp"

namespace mtrain::parallel {
namespace {

/// value / divisor, or a UserError.
int divide(int value, int divisor, const std::string& what) {
  if (divisor > 0 && value >= divisor && value % divisor == 0) return value / divisor;
  throw UserError(cat(what, ": ", value, " layers do not divide over ", divisor));
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

bool works(const LayerSplitOptions& options) {
  try {
    virtual_stage_counts(options);
    return true;
  } catch (const UserError&) {
    return false;
  }
}

/// Counts for the first, the last or both stages with `middle` layers on all others.
std::vector<LayerSplitOptions> with_counts(const LayerSplitOptions& plain, int middle) {
  LayerSplitOptions last = plain, first = plain, both = plain;
  last.last_stage_layers = plain.layers - middle * (plain.stages - 1);
  first.first_stage_layers = last.last_stage_layers;
  const int rest = plain.layers - middle * (plain.stages - 2);
  both.first_stage_layers = rest / 2 / plain.chunks * plain.chunks;
  both.last_stage_layers = rest - *both.first_stage_layers;
  std::vector<LayerSplitOptions> list;
  const auto is_fair = [&](const std::optional<int>& count) {
    return !count || (*count > 0 && *count <= 2 * middle);
  };
  for (const auto& o : {last, first, both})
    if (is_fair(o.first_stage_layers) && is_fair(o.last_stage_layers) && works(o))
      list.push_back(o);
  return list;
}

/// The divisors of `number` next to `value`, below and above.
std::vector<int> near_divisors(int number, int value) {
  std::vector<int> near;
  for (int d = value - 1; d >= 1 && near.empty(); --d)
    if (number % d == 0) near.push_back(d);
  for (int d = value + 1; d <= number; ++d)
    if (number % d == 0) return near.push_back(d), near;
  return near;
}

/// What to write for a split that does not work.
std::string remedy_of(const LayerSplitOptions& o) {
  std::vector<std::string> ways;
  for (const auto& split : working_splits(o)) {
    const std::string keys = split_keys(split);
    constexpr size_t kShown = 3;
    if (ways.size() == kShown) break;
    ways.push_back(keys.empty() ? "no key for an uneven split" : keys);
  }
  if (o.chunks > 1 && o.layers % o.stages == 0)
    ways.push_back(cat("virtual_pipeline_model_parallel_size = ",
                       join(near_divisors(o.layers / o.stages, o.chunks), " or ")));
  const auto stages = near_divisors(o.layers / o.chunks, o.stages);
  if (o.layers % o.chunks == 0)
    ways.push_back(cat("pipeline_model_parallel_size = ", join(stages, " or ")));
  if (ways.empty()) ways.push_back("virtual_pipeline_model_parallel_size = 1");
  return "write " + join(ways, "; or ");
}

}  // namespace

std::vector<LayerSplitOptions> working_splits(const LayerSplitOptions& options) {
  LayerSplitOptions plain = options;
  plain.first_stage_layers = plain.last_stage_layers = {};
  plain.account_for_embedding = plain.account_for_loss = false;
  std::vector<LayerSplitOptions> list;
  if (works(plain)) list.push_back(plain);
  if (options.stages < 2) return list;
  for (const auto& [embedding, loss] :
       {std::pair(true, true), {false, true}, {true, false}}) {
    LayerSplitOptions counted = plain;
    counted.account_for_embedding = embedding;
    counted.account_for_loss = loss;
    if (works(counted)) list.push_back(counted);
  }
  const int places = options.stages * options.chunks;
  for (const int extra : {places - 1, 0}) {
    const int middle = (options.layers + extra) / places * options.chunks;
    if (middle == 0 || (extra == 0 && options.layers % places == 0)) continue;
    for (const auto& split : with_counts(plain, middle)) list.push_back(split);
  }
  return list;
}

std::string split_keys(const LayerSplitOptions& o) {
  std::vector<std::string> keys;
  if (o.account_for_embedding)
    keys.push_back("account_for_embedding_in_pipeline_split = true");
  if (o.account_for_loss) keys.push_back("account_for_loss_in_pipeline_split = true");
  if (o.first_stage_layers)
    keys.push_back(cat("num_layers_in_first_pipeline_stage = ", *o.first_stage_layers));
  if (o.last_stage_layers)
    keys.push_back(cat("num_layers_in_last_pipeline_stage = ", *o.last_stage_layers));
  return join(keys, " and ");
}

std::vector<LayerRange> split_layers(const LayerSplitOptions& options) {
  if ((options.first_stage_layers || options.last_stage_layers) && options.stages < 2) {
    throw UserError(
        "num_layers_in_first_pipeline_stage / num_layers_in_last_pipeline_stage need "
        "pipeline_model_parallel_size >= 2",
        "remove them, or write pipeline_model_parallel_size = 2");
  }
  std::vector<int> counts;
  try {
    counts = virtual_stage_counts(options);
  } catch (const UserError& fault) {
    if (!fault.remedy().empty()) throw;
    throw UserError(fault.what(), remedy_of(options));
  }
  std::vector<LayerRange> ranges;
  int begin = 0;
  for (const int count : counts) {
    ranges.push_back({begin, begin + count});
    begin += count;
  }
  return ranges;
}

}  // namespace mtrain::parallel
