// Short ways to look at a checkpoint, for the tests of damaged and forged ones.
#pragma once

#include "manifest.hpp"
#include "saved.hpp"

namespace mtrain::checkpoint::test {

inline void read_everything(const fs::path& folder) {
  const CheckpointReader reader(folder);
  for (const std::string& group : reader.groups())
    for (const TensorInfo& info : reader.group(group).tensors())
      reader.group(group).read(all_of(info.name, info.shape));
}

inline Manifest manifest_of(const fs::path& folder) {
  return parse_manifest(read_file(folder / "manifest.json"), "manifest.json");
}

}  // namespace mtrain::checkpoint::test
