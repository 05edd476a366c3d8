// Opens committed checkpoints; called to resume, to convert and to inspect.
#include <map>

#include "group_source.hpp"
#include "mtrain/base/crc32c.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/checkpoint/training_checkpoint.hpp"

namespace mtrain::checkpoint {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxManifest = int64_t{1} << 30;
constexpr int64_t kMaxDeck = 64 << 20;

Manifest load_manifest(const fs::path& folder) {
  const fs::path path = folder / kManifestFile;
  if (!has_entry(path))
    throw UserError(cat(folder.string(), " holds no ", kManifestFile),
                    "give the folder of a committed checkpoint, such as checkpoint-100");
  return parse_manifest(read_text(File::open_to_read(path), kMaxManifest), path.string());
}

}  // namespace

struct CheckpointReader::State {
  explicit State(const fs::path& where)
      : folder(where), manifest(load_manifest(where)), cache(where, manifest.files) {
    for (size_t i = 0; i < manifest.files.size(); ++i) add_file(i);
    for (auto& [name, group] : groups) group.finish();
  }

  void add_file(size_t index) {
    const RankFile& file = manifest.files[index];
    const int64_t bytes = File::open_to_read(folder / file.name()).size();
    if (bytes != file.bytes)
      throw UserError(cat((folder / file.name()).string(), " has ", bytes,
                          " bytes, the manifest says ", file.bytes),
                      "use another checkpoint; this file was damaged or exchanged");
    for (const StoredBox& stored : file.boxes)
      groups.try_emplace(stored.group, stored.group, folder.string(), cache)
          .first->second.add(index, stored);
  }

  std::string read_deck() const {
    const fs::path path = folder / kDeckFile;
    const std::string text = read_text(File::open_to_read(path), kMaxDeck);
    if (static_cast<int64_t>(text.size()) != manifest.deck_bytes ||
        crc32c(0, text.data(), text.size()) != manifest.deck_crc)
      throw UserError(cat(path.string(), " does not match its checksum in the manifest"),
                      "use another checkpoint; this one was damaged or changed");
    return text;
  }

  fs::path folder;
  Manifest manifest;
  FileCache cache;
  std::map<std::string, GroupSource> groups;
};

CheckpointReader::CheckpointReader(const fs::path& folder)
    : state_(std::make_unique<State>(folder)) {}
CheckpointReader::CheckpointReader(CheckpointReader&&) noexcept = default;
CheckpointReader::~CheckpointReader() = default;

const fs::path& CheckpointReader::folder() const {
  return state_->folder;
}
const TrainingState& CheckpointReader::state() const {
  return state_->manifest.state;
}
std::string CheckpointReader::deck_text() const {
  return state_->read_deck();
}

std::vector<std::string> CheckpointReader::groups() const {
  std::vector<std::string> names;
  for (const auto& [name, group] : state_->groups) names.push_back(name);
  return names;
}

bool CheckpointReader::has_group(const std::string& name) const {
  return state_->groups.contains(name);
}

const TensorSource& CheckpointReader::group(const std::string& name) const {
  const auto found = state_->groups.find(name);
  if (found == state_->groups.end())
    throw UserError(cat(folder().string(), " has no group \"", name, "\", only ",
                        join(groups(), ", ")));
  return found->second;
}

std::vector<std::string> CheckpointReader::verify(int part, int parts) const {
  std::vector<std::string> faults;
  const auto attempt = [&](const auto& check) {
    try {
      check();
    } catch (const Error& fault) {
      faults.push_back(fault.what());
    }
  };
  if (part == 0) attempt([&] { state_->read_deck(); });
  // Tensor by tensor over all ranks, whatever the number of files.
  size_t number = 0;
  const auto is_mine = [&] {
    return number++ % static_cast<size_t>(parts) == static_cast<size_t>(part);
  };
  for (const RankFile& rank_file : state_->manifest.files) {
    std::vector<const StoredBox*> mine;
    for (const StoredBox& stored : rank_file.boxes)
      if (is_mine()) mine.push_back(&stored);
    if (mine.empty() && !rank_file.boxes.empty()) continue;
    attempt([&] {
      const OpenRankFile file(folder(), rank_file);
      for (const StoredBox* stored : mine)
        if (file.crc(*stored) != stored->crc)
          faults.push_back(cat((folder() / rank_file.name()).string(), ": ",
                               stored->group, "/", parallel::to_string(stored->box),
                               " does not match its checksum"));
    });
  }
  return faults;
}

}  // namespace mtrain::checkpoint
