// Fuzz targets of checkpoints and model files.
#include <ATen/ATen.h>

#include <fstream>

#include "checkpoint/manifest.hpp"
#include "checkpoint/rank_file.hpp"
#include "mtrain/base/crc32c.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/checkpoint/safetensors.hpp"
#include "targets.hpp"

namespace mtrain::test {
namespace {

using namespace mtrain::checkpoint;
namespace fs = std::filesystem;

std::string bytes_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// A checkpoint of one rank: a matrix in two boxes, and a number.
fs::path make_checkpoint() {
  CheckpointWriter writer(fuzz_folder(), 1, 0, 1);
  writer.write({{kMasterGroup, {"w", {4, 3}, {0, 0}, {4, 2}}, at::ones({4, 2})},
                {kMasterGroup, {"w", {4, 3}, {0, 2}, {4, 1}}, at::zeros({4, 1})},
                {kMasterGroup, {"scale", {}, {}, {}}, at::ones({})}});
  TrainingState state;
  state.step = 1;
  state.world_size = 1;
  state.stage = "sft";
  return commit(fuzz_folder(), 1, {writer.finish()}, state, "seed = 1\n");
}

const fs::path& checkpoint_folder() {
  static const fs::path folder = make_checkpoint();
  return folder;
}

/// With the checksum that belongs to the text, as whoever forged it would write it.
std::string with_checksum(std::string text) {
  constexpr size_t kDigits = 8;
  const size_t at = text.rfind(":\"");
  if (at == std::string::npos || at + 2 + kDigits > text.size()) return text;
  text.replace(at + 2, kDigits, kDigits, '0');
  char digits[kDigits + 1];
  std::snprintf(digits, sizeof digits, "%08x", crc32c(0, text.data(), text.size()));
  return text.replace(at + 2, kDigits, digits);
}

void use_checkpoint() {
  const CheckpointReader reader(checkpoint_folder());
  reader.verify(0, 1);
  for (const std::string& name : reader.groups())
    for (const TensorInfo& info : reader.group(name).tensors())
      reader.group(name).read(
          {info.name, info.shape, parallel::Shape(info.shape.size(), 0), info.shape});
}

Target manifest_target() {
  const fs::path path = checkpoint_folder() / kManifestFile;
  return {"manifest", {bytes_of(path)}, [path](const std::string& bytes) {
            overwrite(path, with_checksum(bytes));
            use_checkpoint();
          }};
}

/// A rank file whose checksums are right, whatever is in it.
Target rank_target() {
  const fs::path manifest = checkpoint_folder() / kManifestFile;
  const RankFile rank = parse_manifest(bytes_of(manifest), manifest).files.at(0);
  const std::string seed = bytes_of(checkpoint_folder() / rank.name());
  return {"rank_file", {seed}, [rank](const std::string& bytes) {
            const fs::path path = fs::path(fuzz_folder()) / rank.name();
            overwrite(path, bytes);
            try {
              check_structure(File::open_to_read(path), rank);
            } catch (const Error& fault) {
              throw UserError(fault.what());  // as OpenRankFile does
            }
          }};
}

Target safetensors_target() {
  const fs::path folder = fs::path(fuzz_folder()) / "model";
  fs::create_directory(folder);
  const std::vector<TensorInfo> infos = {{"a", {2, 3}, at::kFloat},
                                         {"b", {}, at::kFloat}};
  SafetensorsWriter writer = SafetensorsWriter::create(folder, infos, 1 << 20);
  for (const TensorInfo& info : infos)
    writer.write(
        {info.name, info.shape, parallel::Shape(info.shape.size(), 0), info.shape},
        at::ones(info.shape));
  writer.finish();
  const fs::path path = folder / "model.safetensors";
  return {"safetensors", {bytes_of(path)}, [=](const std::string& bytes) {
            overwrite(path, bytes);
            const auto source = open_safetensors(folder);
            for (const TensorInfo& info : source->tensors())
              source->read({info.name, info.shape, parallel::Shape(info.shape.size(), 0),
                            info.shape});
          }};
}

}  // namespace

const std::vector<Target>& all_targets() {
  static const std::vector<Target> targets = {manifest_target(), rank_target(),
                                              safetensors_target()};
  return targets;
}

}  // namespace mtrain::test
