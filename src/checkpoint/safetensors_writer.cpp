// Writes a model folder piece by piece; called by export at the end of training and
// mconvert.
#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <set>

#include "box_copy.hpp"
#include "coverage.hpp"
#include "dtype.hpp"
#include "model_checksums.hpp"
#include "mtrain/base/crc32c.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/base/file.hpp"
#include "mtrain/checkpoint/convert.hpp"
#include "mtrain/checkpoint/model_folder.hpp"
#include "mtrain/checkpoint/safetensors.hpp"
#include "safetensors_file.hpp"
#include "safetensors_plan.hpp"

namespace mtrain::checkpoint {

namespace fs = std::filesystem;
using parallel::Box;

struct SafetensorsWriter::State {
  struct Place {
    size_t shard;
    const ShardTensor* tensor;
  };

  State(fs::path target, const std::vector<TensorInfo>& planned, int64_t max_shard_bytes)
      : folder(std::move(target)), shards(plan_shards(planned, max_shard_bytes)) {
    for (size_t i = 0; i < shards.size(); ++i)
      for (const ShardTensor& tensor : shards[i].tensors)
        places[tensor.info.name] = {i, &tensor};
  }
  fs::path temporary(const Shard& shard) const { return folder / (shard.name + ".tmp"); }

  fs::path folder;
  std::vector<Shard> shards;
  std::vector<File> files;  ///< one per shard
  std::map<std::string, Place> places;
  std::vector<PartSum> written;  ///< by this rank
};

namespace {

constexpr size_t kFaultsShown = 20;

using PartsOfTensors = std::map<std::string, std::vector<PartSum>>;

std::vector<ShardSum> sums_of(const std::vector<Shard>& shards, PartsOfTensors& written) {
  std::vector<ShardSum> sums;
  for (const Shard& shard : shards) {
    const std::string& header = shard.header;
    sums.push_back({shard.name,
                    shard.bytes,
                    static_cast<int64_t>(header.size()),
                    crc32c(0, header.data(), header.size()),
                    {}});
    for (const auto& tensor : shard.tensors)
      for (PartSum& part : written[tensor.info.name])
        sums.back().parts.push_back(std::move(part));
  }
  return sums;
}

/// One line per planned tensor that is not written exactly once.
std::vector<std::string> coverage_faults(const std::vector<Shard>& shards,
                                         PartsOfTensors& written) {
  std::vector<std::string> faults;
  for (const Shard& shard : shards)
    for (const auto& [info, position] : shard.tensors) {
      std::vector<Box> boxes;
      int64_t elements = 0;
      for (const PartSum& part : written[info.name]) {
        boxes.push_back(part.box);
        elements += part.box.size();
      }
      const auto missing = uncovered(whole_box(info.name, info.shape), boxes);
      if (!missing.empty())
        faults.push_back(cat(parallel::to_string(missing.front()), " was not written"));
      else if (elements != parallel::numel(info.shape))
        faults.push_back(cat(info.name, " was written more than once in part"));
    }
  return faults;
}

/// "a; b; and 3 more".
std::string shortened(std::vector<std::string> lines) {
  const size_t more = lines.size() - std::min(lines.size(), kFaultsShown);
  if (more > 0) {
    lines.resize(kFaultsShown);
    lines.push_back(cat("and ", more, " more"));
  }
  return join(lines, "; ");
}

/// Model files an earlier export left in the folder and the new one does not replace.
void remove_stale_shards(const fs::path& folder, const std::vector<Shard>& shards) {
  std::set<std::string> current;
  for (const Shard& shard : shards) current.insert(shard.name);
  std::vector<fs::path> stale;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename();
    const bool ours = name.starts_with("model-") && name.ends_with(".safetensors") &&
                      name.find("-of-") != std::string::npos;
    if (ours && !current.contains(name)) stale.push_back(entry.path());
  }
  for (const fs::path& path : stale) remove_file(path);
}

}  // namespace

SafetensorsWriter::SafetensorsWriter(std::unique_ptr<State> state)
    : state_(std::move(state)) {}
SafetensorsWriter::SafetensorsWriter(SafetensorsWriter&&) noexcept = default;
SafetensorsWriter::~SafetensorsWriter() = default;

SafetensorsWriter SafetensorsWriter::create(const fs::path& folder,
                                            const std::vector<TensorInfo>& planned,
                                            int64_t max_shard_bytes) {
  auto state = std::make_unique<State>(folder, planned, max_shard_bytes);
  // A folder that is there may be a link: it is the user's own.
  if (!fs::is_directory(folder)) make_directory(folder);
  for (const Shard& shard : state->shards) {
    state->files.push_back(File::create(state->temporary(shard)));
    state->files.back().write_at(0, shard.header.data(), shard.header.size());
    state->files.back().resize(shard.bytes);
  }
  return SafetensorsWriter(std::move(state));
}

SafetensorsWriter SafetensorsWriter::join(const fs::path& folder,
                                          const std::vector<TensorInfo>& planned,
                                          int64_t max_shard_bytes) {
  auto state = std::make_unique<State>(folder, planned, max_shard_bytes);
  for (const Shard& shard : state->shards) {
    state->files.push_back(File::open_to_write(state->temporary(shard)));
    MT_CHECK(state->files.back().size() == shard.bytes, shard.name,
             " was created from another plan");
  }
  return SafetensorsWriter(std::move(state));
}

void SafetensorsWriter::write(const Box& box, const at::Tensor& data) {
  const auto place = state_->places.find(box.tensor);
  MT_CHECK(place != state_->places.end(), "tensor ", box.tensor, " is not planned");
  const auto& [shard, tensor] = place->second;
  const TensorInfo& info = tensor->info;
  MT_CHECK(box.full == info.shape && is_inside(box), parallel::to_string(box),
           " does not fit shape [", mtrain::join(info.shape, ", "), "]");
  MT_CHECK(data.scalar_type() == info.dtype && data.device().is_cpu() &&
               data.is_contiguous() && data.sizes() == at::IntArrayRef(box.extent),
           "data of ", parallel::to_string(box),
           " differ from the plan in dtype or shape");
  if (box.size() == 0) return;
  write_box(box, box, data.data_ptr(), whole_box(info.name, info.shape),
            state_->files[shard], tensor->position, dtype_size(info.dtype));
  state_->written.push_back({box, crc32c(0, data.const_data_ptr(), data.nbytes())});
}

std::string SafetensorsWriter::summary() {
  for (const File& file : state_->files) file.sync();
  return parts_text(state_->written);
}

std::string SafetensorsWriter::commit(const std::vector<std::string>& summaries) {
  PartsOfTensors written;
  for (const std::string& text : summaries)
    for (PartSum& part : parts_of_text(text))
      written[part.box.tensor].push_back(std::move(part));
  const auto faults = coverage_faults(state_->shards, written);
  if (!faults.empty())
    throw Error(cat("the export to ", state_->folder.string(), " is incomplete (",
                    faults.size(), " tensors): ", shortened(faults)));
  remove_file(state_->folder / kChecksumsFile);
  // Without its index the older model is not loadable, so no mixture of the two ever is.
  remove_file(state_->folder / kIndexFile);
  const bool single = state_->shards.size() == 1;
  if (!single) remove_file(state_->folder / kSingleFile);
  for (const Shard& shard : state_->shards)
    rename_file(state_->temporary(shard), state_->folder / shard.name);
  sync_directory(state_->folder);
  ModelSums sums{{}, sums_of(state_->shards, written)};
  if (!single) {
    const std::string index = index_text(state_->shards);
    write_file_atomically(state_->folder / kIndexFile, index);
    sums.files.push_back(sum_of(kIndexFile, index));
  }
  remove_stale_shards(state_->folder, state_->shards);
  sync_directory(state_->folder);
  return checksums_text(sums);
}

std::string SafetensorsWriter::finish() {
  return commit({summary()});
}

}  // namespace mtrain::checkpoint
