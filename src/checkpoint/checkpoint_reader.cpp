// Opens committed checkpoints; called to resume, to convert and to inspect.
#include <ATen/ATen.h>

#include <algorithm>
#include <map>

#include "box_copy.hpp"
#include "coverage.hpp"
#include "crc32c.hpp"
#include "dtype.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/checkpoint/training_checkpoint.hpp"
#include "rank_file.hpp"

namespace mtrain::checkpoint {
namespace {

namespace fs = std::filesystem;
using parallel::Box;

constexpr int64_t kMaxManifest = int64_t{1} << 30;
constexpr int64_t kMaxDeck = 64 << 20;
constexpr size_t kMaxOpenFiles = 64;

/// Rank files by index, opened and checked at their first use.
class FileCache {
 public:
  FileCache(fs::path folder, const std::vector<RankFile>& files)
      : folder_(std::move(folder)), files_(files) {}

  const OpenRankFile& open(size_t index) {
    const auto found = open_.find(index);
    if (found != open_.end()) return found->second;
    if (open_.size() >= kMaxOpenFiles) open_.clear();
    return open_.try_emplace(index, folder_, files_[index]).first->second;
  }

 private:
  fs::path folder_;
  const std::vector<RankFile>& files_;
  std::map<size_t, OpenRankFile> open_;
};

/// One group: each tensor with all the boxes stored of it.
class GroupSource : public TensorSource {
 public:
  GroupSource(std::string name, std::string folder, FileCache& files)
      : name_(std::move(name)), folder_(std::move(folder)), files_(files) {}

  /// Called for every box of the group before the first read.
  void add(size_t file, const StoredBox& stored) {
    auto& tensor = stored_[stored.box.tensor];
    if (tensor.empty()) {
      infos_[stored.box.tensor] = {stored.box.tensor, stored.box.full, stored.dtype};
    } else if (tensor[0].stored->box.full != stored.box.full ||
               tensor[0].stored->dtype != stored.dtype) {
      throw UserError(cat(folder_, ": tensor \"", stored.box.tensor, "\" of group ",
                          name_, " has more than one shape or dtype"));
    }
    tensor.push_back({file, &stored});
  }
  void finish() {
    for (const auto& [name, info] : infos_) tensors_.push_back(info);
  }

  const std::vector<TensorInfo>& tensors() const override { return tensors_; }

  const TensorInfo* find(const std::string& name) const override {
    const auto found = infos_.find(name);
    return found == infos_.end() ? nullptr : &found->second;
  }

  at::Tensor read(const Box& box) const override {
    const TensorInfo* info = find(box.tensor);
    if (!info)
      throw UserError(cat(folder_, ": no tensor \"", box.tensor, "\" in group ", name_));
    if (box.full != info->shape || !is_inside(box))
      throw UserError(cat(folder_, ": tensor \"", box.tensor, "\" has shape [",
                          join(info->shape, ", "), "], not [", join(box.full, ", "),
                          "] as needed for ", parallel::to_string(box)),
                      "the checkpoint must be of the same model");
    const auto options = at::TensorOptions().dtype(info->dtype).device(at::kCPU);
    at::Tensor out = at::empty(box.extent, options);
    assemble(box, out.data_ptr());
    return out;
  }

 private:
  struct Piece {
    size_t file;
    const StoredBox* stored;
  };

  /// Reads each element once, although replicas may store it several times.
  void assemble(const Box& box, void* out) const {
    std::vector<Box> missing = uncovered(box, {});
    for (const Piece& piece : stored_.at(box.tensor)) {
      if (missing.empty()) break;
      bool needed = false;
      for (const Box& rest : missing) {
        const auto part = parallel::intersect(rest, piece.stored->box);
        if (!part) continue;
        files_.open(piece.file).read(*piece.stored, *part, box, out);
        needed = true;
      }
      if (!needed) continue;
      std::vector<Box> next;
      for (const Box& rest : missing)
        for (Box& part : uncovered(rest, {piece.stored->box}))
          next.push_back(std::move(part));
      missing = std::move(next);
    }
    if (!missing.empty())
      throw UserError(cat(folder_, ": ", parallel::to_string(missing.front()),
                          " of group ", name_, " is in none of the rank files"));
  }

  std::string name_;
  std::string folder_;
  FileCache& files_;
  std::map<std::string, std::vector<Piece>> stored_;
  std::map<std::string, TensorInfo> infos_;
  std::vector<TensorInfo> tensors_;
};

Manifest load_manifest(const fs::path& folder) {
  const fs::path path = folder / kManifestFile;
  if (!has_entry(path))
    throw UserError(cat(folder.string(), " holds no ", kManifestFile),
                    "give the folder of a committed checkpoint, such as checkpoint-100");
  return parse_manifest(read_text(path, kMaxManifest), path.string());
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
    const std::string text = read_text(path, kMaxDeck);
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
  const auto& files = state_->manifest.files;
  for (auto i = static_cast<size_t>(part); i < files.size();
       i += static_cast<size_t>(parts))
    attempt([&] {
      const OpenRankFile file(folder(), files[i]);
      for (const StoredBox& stored : files[i].boxes)
        if (file.crc(stored) != stored.crc)
          faults.push_back(cat((folder() / files[i].name()).string(), ": ", stored.group,
                               "/", parallel::to_string(stored.box),
                               " does not match its checksum"));
    });
  return faults;
}

}  // namespace mtrain::checkpoint
