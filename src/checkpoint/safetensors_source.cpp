// A folder of safetensors files as one TensorSource; the way models get in.
#include <algorithm>
#include <map>
#include <set>

#include "mtrain/base/error.hpp"
#include "mtrain/base/file.hpp"
#include "mtrain/base/json.hpp"
#include "mtrain/checkpoint/safetensors.hpp"
#include "safetensors_file.hpp"

namespace mtrain::checkpoint {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxIndex = 100'000'000;

class SafetensorsSource : public TensorSource {
 public:
  /// `files`: all shards; their tensors must be distinct.
  explicit SafetensorsSource(std::vector<SafetensorsFile> files)
      : files_(std::move(files)) {
    for (const SafetensorsFile& file : files_)
      for (const SafetensorsFile::Entry& entry : file.entries()) {
        const auto [place, added] =
            places_.try_emplace(entry.info.name, Place{&file, &entry});
        MT_CHECK(added, "tensor ", entry.info.name, " came from two shards");
      }
    for (const auto& [name, place] : places_) tensors_.push_back(place.entry->info);
  }

  const std::vector<TensorInfo>& tensors() const override { return tensors_; }

  const TensorInfo* find(const std::string& name) const override {
    const auto place = places_.find(name);
    return place == places_.end() ? nullptr : &place->second.entry->info;
  }

  at::Tensor read(const parallel::Box& box) const override {
    const auto dtype = require(box).entry->info.dtype;
    at::Tensor out =
        at::empty(box.extent, at::TensorOptions().dtype(dtype).device(at::kCPU));
    read_into(box, out.data_ptr());
    return out;
  }

  void read_into(const parallel::Box& box, void* out) const override {
    const Place& place = require(box);
    place.file->read(*place.entry, box, out);
  }

 private:
  struct Place {
    const SafetensorsFile* file;
    const SafetensorsFile::Entry* entry;
  };

  const Place& require(const parallel::Box& box) const {
    const auto place = places_.find(box.tensor);
    if (place == places_.end())
      throw UserError(cat("no tensor \"", box.tensor, "\" in ",
                          files_.front().path().parent_path().string()),
                      "model files and config.json must belong together");
    return place->second;
  }

  std::vector<SafetensorsFile> files_;
  std::map<std::string, Place> places_;
  std::vector<TensorInfo> tensors_;
};

bool is_plain_name(const std::string& name) {
  const bool clean = name.find_first_of(std::string("/\\\0", 3)) == std::string::npos;
  return clean && name.ends_with(".safetensors") && name[0] != '.';
}

/// tensor -> shard, every shard name checked.
std::map<std::string, std::string> read_index(const fs::path& path) {
  const auto index =
      parse_json(read_text(File::open_input(path), kMaxIndex), path.string());
  if (!index.is_object() || !index.contains("weight_map") ||
      !index["weight_map"].is_object())
    throw UserError(cat(path.string(), " has no object \"weight_map\""));
  std::map<std::string, std::string> shards;
  for (const auto& [tensor, shard] : index["weight_map"].items()) {
    if (!shard.is_string() || !is_plain_name(shard.get<std::string>()))
      throw UserError(cat(path.string(), ": the shard of tensor \"", tensor, "\" is ",
                          shard.dump(-1, ' ', true),
                          ", not the name of a .safetensors file of this folder"));
    shards[tensor] = shard.get<std::string>();
  }
  if (shards.empty()) throw UserError(cat(path.string(), " names no tensor"));
  return shards;
}

/// Index and shards must name the same tensors.
void check_against_index(const SafetensorsFile& file, const std::string& shard,
                         const std::map<std::string, std::string>& index) {
  std::set<std::string> present;
  for (const auto& entry : file.entries()) {
    const auto named = index.find(entry.info.name);
    if (named == index.end() || named->second != shard)
      throw UserError(
          cat(file.path().string(), " holds tensor \"", entry.info.name,
              "\", which the index ",
              named == index.end() ? "does not name" : cat("places in ", named->second)),
          "shards and index must come from the same export");
    present.insert(entry.info.name);
  }
  for (const auto& [tensor, named] : index)
    if (named == shard && !present.contains(tensor))
      throw UserError(cat(file.path().string(), " lacks tensor \"", tensor,
                          "\", which the index places there"),
                      "shards and index must come from the same export");
}

std::vector<SafetensorsFile> open_shards(const fs::path& folder) {
  const auto index = read_index(folder / kIndexFile);
  std::set<std::string> shards;
  for (const auto& [tensor, shard] : index) shards.insert(shard);
  std::vector<SafetensorsFile> files;
  for (const std::string& shard : shards) {
    files.emplace_back(folder / shard);
    check_against_index(files.back(), shard, index);
  }
  return files;
}

}  // namespace

bool holds_safetensors(const fs::path& folder) {
  return has_entry(folder / kSingleFile) || has_entry(folder / kIndexFile);
}

std::unique_ptr<TensorSource> open_safetensors(const fs::path& path) {
  std::vector<SafetensorsFile> files;
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) {
    files.emplace_back(path);
  } else if (!holds_safetensors(path)) {
    throw UserError(
        cat(path.string(), " holds neither ", kSingleFile, " nor ", kIndexFile),
        "give a folder with a Hugging Face model in safetensors form");
  } else if (has_entry(path / kSingleFile) && has_entry(path / kIndexFile)) {
    throw UserError(cat(path.string(), " holds both ", kSingleFile, " and ", kIndexFile),
                    "remove the one that is out of date");
  } else if (has_entry(path / kSingleFile)) {
    files.emplace_back(path / kSingleFile);
  } else {
    files = open_shards(path);
  }
  return std::make_unique<SafetensorsSource>(std::move(files));
}

}  // namespace mtrain::checkpoint
