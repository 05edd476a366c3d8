// Text about a folder of weights; called by mconvert inspect.
#include "mtrain/checkpoint/inspect.hpp"

#include <algorithm>

#include "dtype.hpp"
#include "manifest.hpp"
#include "mtrain/base/file.hpp"
#include "mtrain/base/text.hpp"
#include "mtrain/checkpoint/safetensors.hpp"

namespace mtrain::checkpoint {
namespace {

struct Totals {
  int64_t tensors = 0, elements = 0, bytes = 0;
};

Totals totals_of(const TensorSource& source) {
  Totals totals;
  for (const TensorInfo& info : source.tensors()) {
    const int64_t elements = parallel::numel(info.shape);
    ++totals.tensors;
    totals.elements += elements;
    totals.bytes += elements * dtype_size(info.dtype);
  }
  return totals;
}

std::string totals_line(const Totals& totals) {
  return cat(totals.tensors, " tensors, ",
             human_count(static_cast<double>(totals.elements)), " elements, ",
             human_bytes(static_cast<double>(totals.bytes)));
}

/// The group whose shapes describe the model.
std::string main_group(const CheckpointReader& reader) {
  for (const char* name : {kWeightsGroup, kMasterGroup})
    if (reader.has_group(name)) return name;
  return reader.groups().empty() ? "" : reader.groups().front();
}

}  // namespace

std::string tensor_table(const TensorSource& source) {
  std::vector<std::vector<std::string>> rows = {{"tensor", "shape", "dtype", "size"}};
  for (const TensorInfo& info : source.tensors()) {
    const int64_t bytes = parallel::numel(info.shape) * dtype_size(info.dtype);
    rows.push_back({info.name, cat("[", join(info.shape, ", "), "]"),
                    dtype_name(info.dtype), human_bytes(static_cast<double>(bytes))});
  }
  return cat(aligned(rows), totals_line(totals_of(source)), "\n");
}

std::string checkpoint_summary(const CheckpointReader& reader) {
  const TrainingState& state = reader.state();
  std::string text =
      aligned({{"checkpoint", reader.folder().string()},
               {"step", cat(state.step)},
               {"updates applied", cat(state.updates)},
               {"samples consumed", cat(state.samples_consumed)},
               {"tokens", cat(state.tokens)},
               {"stage", state.stage},
               {"written by", cat(state.world_size, " ranks, ", state.layout)},
               {"seed, data, init",
                cat(state.seed, ", ", state.data_seed, ", ", state.init_seed)}});
  for (const std::string& group : reader.groups())
    text += cat("group ", group, ": ", totals_line(totals_of(reader.group(group))), "\n");
  const std::string group = main_group(reader);
  if (!group.empty()) text += cat("\n", tensor_table(reader.group(group)));
  return text;
}

std::string inspect(const std::filesystem::path& folder) {
  if (has_entry(folder / kManifestFile))
    return checkpoint_summary(CheckpointReader(folder));
  return tensor_table(*open_safetensors(folder));
}

}  // namespace mtrain::checkpoint
