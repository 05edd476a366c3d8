// Which planned tensor goes where in which shard.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "mtrain/checkpoint/tensor_source.hpp"

namespace mtrain::checkpoint {

struct ShardTensor {
  TensorInfo info;
  int64_t position;  ///< first byte in the file
};

struct Shard {
  std::string name;
  std::string header;  ///< length prefix, JSON and padding
  std::vector<ShardTensor> tensors;
  int64_t bytes;  ///< of the whole file
};

/// Fills shards of at most `max_bytes` of data in the order given, a larger tensor alone
/// in a shard of its own, as transformers' save_pretrained does; in a file tensors lie by
/// falling element size, then by name, as the safetensors library writes them.
std::vector<Shard> plan_shards(const std::vector<TensorInfo>& planned, int64_t max_bytes);

/// The text of model.safetensors.index.json.
std::string index_text(const std::vector<Shard>& shards);

}  // namespace mtrain::checkpoint
