// Compares checkpoints and exported models with their checksums; called by mconvert
// verify.
#include "mtrain/checkpoint/verify.hpp"

#include <algorithm>
#include <set>

#include "checkpoint_paths.hpp"
#include "coverage.hpp"
#include "dtype.hpp"
#include "manifest.hpp"
#include "model_checksums.hpp"
#include "mtrain/base/crc32c.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/base/file.hpp"
#include "mtrain/checkpoint/model_folder.hpp"
#include "safetensors_file.hpp"

namespace mtrain::checkpoint {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxChecksums = int64_t{1} << 30;
constexpr int64_t kMaxSmallFile = int64_t{1} << 30;
constexpr char kHfFolder[] = "hf";

/// Which of the things counted are this part's.
class Share {
 public:
  Share(int part, int parts)
      : part_(static_cast<size_t>(part)), parts_(static_cast<size_t>(parts)) {}
  bool is_mine() { return number_++ % parts_ == part_; }
  int part() const { return static_cast<int>(part_); }
  int parts() const { return static_cast<int>(parts_); }

 private:
  size_t part_, parts_, number_ = 0;
};

/// Runs a check; what it throws becomes a fault of the folder.
template <class Check>
void attempt(VerifiedFolder& result, const Check& check) {
  try {
    check();
  } catch (const Error& fault) {
    result.faults.push_back(fault.what());
  }
}

std::string differs(const fs::path& file, const std::string& what) {
  return cat(file.string(), ": ", what, " does not match its checksum");
}

void check_small(const fs::path& path, const FileSum& expected, VerifiedFolder& result) {
  const FileSum found =
      sum_of(expected.name, read_text(File::open_to_read(path), kMaxSmallFile));
  if (found.bytes != expected.bytes || found.crc != expected.crc)
    result.faults.push_back(cat(
        path.string(), " does not match its checksum: it was changed since the export"));
}

void check_header(const fs::path& path, const ShardSum& expected) {
  const File file = File::open_to_read(path);
  if (file.size() != expected.bytes)
    throw UserError(
        cat(path.string(), " has ", file.size(), " bytes, not ", expected.bytes));
  if (expected.header_bytes > expected.bytes)
    throw UserError(cat(path.string(), ": its checksums are damaged"));
  std::string header(static_cast<size_t>(expected.header_bytes), '\0');
  file.read_at(0, header.data(), header.size());
  if (crc32c(0, header.data(), header.size()) != expected.header_crc)
    throw UserError(differs(path, "the header"));
}

/// Every element of every tensor must be vouched for.
void check_coverage(const SafetensorsFile& file, const ShardSum& expected) {
  for (const auto& entry : file.entries()) {
    std::vector<parallel::Box> boxes;
    for (const PartSum& part : expected.parts)
      if (part.box.tensor == entry.info.name) boxes.push_back(part.box);
    if (!uncovered(whole_box(entry.info.name, entry.info.shape), boxes).empty())
      throw UserError(cat(file.path().string(), ": no checksum vouches for all of ",
                          entry.info.name));
  }
}

void check_part(const SafetensorsFile& file, const PartSum& part,
                VerifiedFolder& result) {
  const auto& entries = file.entries();
  const auto found = std::ranges::find_if(
      entries, [&](const auto& entry) { return entry.info.name == part.box.tensor; });
  if (found == entries.end())
    throw UserError(cat(file.path().string(), " lacks ", part.box.tensor));
  std::string bytes(static_cast<size_t>(part.box.size() * dtype_size(found->info.dtype)),
                    '\0');
  file.read(*found, part.box, bytes.data());
  if (crc32c(0, bytes.data(), bytes.size()) != part.crc)
    result.faults.push_back(differs(file.path(), parallel::to_string(part.box)));
}

void check_shard(const fs::path& path, const ShardSum& expected, Share& share,
                 VerifiedFolder& result) {
  std::vector<const PartSum*> mine;
  const bool first = share.is_mine();
  for (const PartSum& part : expected.parts)
    if (share.is_mine()) mine.push_back(&part);
  if (!first && mine.empty()) return;
  if (first) check_header(path, expected);
  const SafetensorsFile file(path);
  if (first) check_coverage(file, expected);
  for (const PartSum* part : mine) check_part(file, *part, result);
}

void verify_model(const fs::path& folder, Share& share, Verification& all) {
  VerifiedFolder result{folder.string(), {}, {}};
  const fs::path list = folder / kChecksumsFile;
  attempt(result, [&] {
    const ModelSums sums = parse_checksums(
        read_text(File::open_to_read(list), kMaxChecksums), list.string());
    for (const ShardSum& shard : sums.shards) {
      result.files.push_back(shard.name);
      attempt(result, [&] { check_shard(folder / shard.name, shard, share, result); });
    }
    for (const FileSum& file : sums.files) {
      result.files.push_back(file.name);
      if (share.is_mine())
        attempt(result, [&] { check_small(folder / file.name, file, result); });
    }
  });
  all.folders.push_back(std::move(result));
}

void verify_checkpoint(const fs::path& folder, Share& share, Verification& all) {
  VerifiedFolder result{folder.string(), {kManifestFile, kDeckFile}, {}};
  attempt(result, [&] {
    const CheckpointReader reader(folder);
    for (int rank = 0; rank < reader.state().world_size; ++rank)
      result.files.push_back(rank_file_name(rank));
    for (auto& fault : reader.verify(share.part(), share.parts()))
      result.faults.push_back(std::move(fault));
  });
  all.folders.push_back(std::move(result));
}

void verify_model_if_any(const fs::path& folder, Share& share, Verification& all) {
  if (has_entry(folder / kChecksumsFile)) verify_model(folder, share, all);
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::error_code fault;
  std::vector<std::string> names;
  fs::directory_iterator at(folder, fault);
  for (; !fault && at != fs::directory_iterator(); at.increment(fault))
    names.push_back(at->path().filename());
  if (fault)
    throw UserError(cat("cannot list ", folder.string(), ": ", fault.message()),
                    "give a checkpoint, or the output_dir of a run");
  std::ranges::sort(names);
  return names;
}

/// Names in the folder that are neither checked nor hold something that is. A model
/// without checksums is among them.
void list_unread(const fs::path& folder, Verification& all) {
  std::set<std::string> read = {kChecksumsFile};
  for (const VerifiedFolder& done : all.folders) {
    const fs::path inside = fs::path(done.folder).lexically_relative(folder);
    if (inside == ".")
      read.insert(done.files.begin(), done.files.end());
    else
      read.insert(*inside.begin());
  }
  for (const std::string& name : names_in(folder))
    if (!read.contains(name)) all.unread.push_back((folder / name).string());
}

/// A folder of this name is a promise; one without a manifest breaks it.
bool is_checkpoint_folder(const fs::path& path) {
  return step_of(path.filename(), "") && fs::is_directory(fs::symlink_status(path));
}

}  // namespace

Verification verify_folder(const fs::path& given, int part, int parts) {
  const fs::path folder = given.has_filename() ? given : given.parent_path();
  Verification all;
  Share share(part, parts);
  const bool is_checkpoint = has_entry(folder / kManifestFile);
  std::vector<fs::path> checkpoints;
  if (is_checkpoint) checkpoints.push_back(folder);
  for (const std::string& name : names_in(folder))
    if (!is_checkpoint && is_checkpoint_folder(folder / name))
      checkpoints.push_back(folder / name);
  std::ranges::sort(checkpoints, {}, [](const fs::path& path) {
    return step_of(path.filename(), "").value_or(0);
  });
  for (const fs::path& checkpoint : checkpoints) {
    verify_checkpoint(checkpoint, share, all);
    verify_model_if_any(checkpoint / kHfFolder, share, all);
    list_unread(checkpoint, all);
  }
  if (is_checkpoint) return all;
  verify_model_if_any(folder, share, all);
  list_unread(folder, all);
  return all;
}

}  // namespace mtrain::checkpoint
