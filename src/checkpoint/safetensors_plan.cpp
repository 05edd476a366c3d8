// Pure arithmetic of an export: shards, offsets, headers and index; used by
// SafetensorsWriter.
#include "safetensors_plan.hpp"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "dtype.hpp"
#include "mtrain/base/error.hpp"
#include "safetensors_file.hpp"

namespace mtrain::checkpoint {
namespace {

int64_t bytes_of(const TensorInfo& info) {
  const auto bytes = checked_bytes(info.shape, info.dtype);
  MT_CHECK(bytes.has_value(), "tensor ", info.name, " is too large");
  return *bytes;
}

std::vector<std::vector<TensorInfo>> fill_shards(const std::vector<TensorInfo>& planned,
                                                 int64_t max_bytes) {
  std::vector<std::vector<TensorInfo>> shards;
  std::vector<TensorInfo> current;
  int64_t current_bytes = 0;
  for (const TensorInfo& info : planned) {
    const int64_t bytes = bytes_of(info);
    if (bytes > max_bytes) {
      shards.push_back({info});
      continue;
    }
    if (current_bytes + bytes > max_bytes) {
      shards.push_back(std::exchange(current, {}));
      current_bytes = 0;
    }
    current.push_back(info);
    current_bytes += bytes;
  }
  if (!current.empty() || shards.empty()) shards.push_back(std::move(current));
  return shards;
}

/// Eight bytes of length, then the JSON, padded so that the data are aligned.
std::string header_of(const std::vector<TensorInfo>& tensors) {
  nlohmann::ordered_json header;
  header["__metadata__"]["format"] = "pt";
  int64_t begin = 0;
  for (const TensorInfo& info : tensors) {
    const int64_t end = begin + bytes_of(info);
    auto& entry = header[info.name];
    entry["dtype"] = safetensors_name(info.dtype);
    entry["shape"] = info.shape;
    entry["data_offsets"] = {begin, end};
    begin = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const uint64_t length = text.size();
  std::string prefix(sizeof length, '\0');
  std::memcpy(prefix.data(), &length, sizeof length);
  return prefix + text;
}

Shard place(std::vector<TensorInfo> tensors, std::string name) {
  std::sort(tensors.begin(), tensors.end(), [](const TensorInfo& a, const TensorInfo& b) {
    const int64_t size_a = dtype_size(a.dtype), size_b = dtype_size(b.dtype);
    return std::tie(size_b, a.name) < std::tie(size_a, b.name);
  });
  Shard shard{std::move(name), header_of(tensors), {}, 0};
  shard.bytes = static_cast<int64_t>(shard.header.size());
  for (TensorInfo& info : tensors) {
    const int64_t bytes = bytes_of(info);
    shard.tensors.push_back({std::move(info), shard.bytes});
    shard.bytes += bytes;
  }
  return shard;
}

}  // namespace

std::vector<Shard> plan_shards(const std::vector<TensorInfo>& planned,
                               int64_t max_bytes) {
  MT_CHECK(max_bytes > 0, "shards of at most ", max_bytes, " bytes");
  std::set<std::string> names;
  for (const TensorInfo& info : planned)
    MT_CHECK(names.insert(info.name).second && info.name != "__metadata__",
             "tensor name \"", info.name, "\" is taken");
  auto parts = fill_shards(planned, max_bytes);
  std::vector<Shard> shards;
  const auto count = static_cast<int64_t>(parts.size());
  for (auto& part : parts)
    shards.push_back(
        place(std::move(part), shard_name(static_cast<int64_t>(shards.size()), count)));
  return shards;
}

std::string index_text(const std::vector<Shard>& shards) {
  nlohmann::json index;
  int64_t parameters = 0, bytes = 0;
  for (const Shard& shard : shards)
    for (const ShardTensor& tensor : shard.tensors) {
      index["weight_map"][tensor.info.name] = shard.name;
      parameters += parallel::numel(tensor.info.shape);
      bytes += bytes_of(tensor.info);
    }
  index["metadata"] = {{"total_parameters", parameters}, {"total_size", bytes}};
  return index.dump(2) + "\n";
}

}  // namespace mtrain::checkpoint
