// Finds committed checkpoints and clears what interrupted saves left; called at start and
// resume.
#include "checkpoint_paths.hpp"

#include <algorithm>
#include <charconv>

#include "manifest.hpp"
#include "model_files.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/base/file.hpp"
#include "mtrain/checkpoint/training_checkpoint.hpp"

namespace mtrain::checkpoint {

namespace fs = std::filesystem;

namespace {

constexpr char kPrefix[] = "checkpoint-";
constexpr char kTemporary[] = ".tmp";

bool is_leftover(const fs::directory_entry& entry) {
  const std::string name = entry.path().filename();
  const auto type = entry.symlink_status().type();
  if (type == fs::file_type::directory) return step_of(name, kTemporary).has_value();
  return type == fs::file_type::regular && name.ends_with(kTemporary) &&
         is_model_file(name.substr(0, name.size() - std::string_view(kTemporary).size()));
}

/// What is in the folder; nothing where there is no such folder.
std::vector<fs::directory_entry> entries_of(const fs::path& folder) {
  std::error_code fault;
  fs::directory_iterator at(folder, fault);
  std::vector<fs::directory_entry> entries;
  for (; !fault && at != fs::directory_iterator(); at.increment(fault))
    entries.push_back(*at);
  // Never take a folder that cannot be read for an empty one.
  if (fault && fault != std::errc::no_such_file_or_directory &&
      fault != std::errc::not_a_directory)
    throw Error(cat("cannot list ", folder.string(), ": ", fault.message()));
  return entries;
}

void remove_folder(const fs::path& path) {
  std::error_code fault;
  fs::remove_all(path, fault);
  if (fault) throw Error(cat("cannot remove ", path.string(), ": ", fault.message()));
}

}  // namespace

fs::path checkpoint_folder(const fs::path& output_dir, int64_t step) {
  return output_dir / cat(kPrefix, step);
}

fs::path temporary_folder(const fs::path& output_dir, int64_t step) {
  return output_dir / cat(kPrefix, step, kTemporary);
}

std::optional<int64_t> step_of(const std::string& name, const std::string& suffix) {
  if (!name.starts_with(kPrefix) || !name.ends_with(suffix)) return std::nullopt;
  const char* begin = name.data() + std::string_view(kPrefix).size();
  const char* end = name.data() + name.size() - suffix.size();
  int64_t step = 0;
  const auto [stop, fault] = std::from_chars(begin, std::max(begin, end), step);
  // Only the canonical spelling: "checkpoint-007" is not ours.
  if (fault != std::errc() || step < 0 || cat(kPrefix, step, suffix) != name)
    return std::nullopt;
  return step;
}

std::vector<fs::path> list_checkpoints(const fs::path& output_dir) {
  std::vector<std::pair<int64_t, fs::path>> found;
  for (const auto& entry : entries_of(output_dir)) {
    const auto step = step_of(entry.path().filename(), "");
    if (!step || entry.symlink_status().type() != fs::file_type::directory) continue;
    if (fs::is_regular_file(fs::symlink_status(entry.path() / kManifestFile)))
      found.emplace_back(*step, entry.path());
  }
  std::sort(found.begin(), found.end(), std::greater<>());
  std::vector<fs::path> paths;
  for (auto& [step, path] : found) paths.push_back(std::move(path));
  return paths;
}

std::optional<fs::path> newest_checkpoint(const fs::path& output_dir) {
  const auto all = list_checkpoints(output_dir);
  if (all.empty()) return std::nullopt;
  return all.front();
}

std::vector<std::string> prune_checkpoints(const fs::path& output_dir, int keep,
                                           int64_t newest, std::optional<int64_t> best) {
  MT_CHECK(keep >= 1, "keep ", keep, " checkpoints");
  std::vector<fs::path> ours;
  bool best_is_older = false;
  for (fs::path& folder : list_checkpoints(output_dir)) {
    const int64_t step = step_of(folder.filename(), "").value();
    // Later ones are of another course of the run; what they are worth is not known.
    if (step > newest) continue;
    best_is_older |= best == step && ours.size() >= static_cast<size_t>(keep);
    ours.push_back(std::move(folder));
  }
  if (best_is_older) keep = std::max(1, keep - 1);
  std::vector<std::string> names;
  for (const fs::path& folder : ours) {
    if (keep-- > 0 || best == step_of(folder.filename(), "")) continue;
    const fs::path temporary = folder.string() + kTemporary;
    remove_folder(temporary);
    rename_file(folder, temporary);
    remove_folder(temporary);
    names.push_back(folder.filename());
  }
  return names;
}

std::vector<std::string> remove_leftovers(const fs::path& output_dir) {
  std::vector<fs::path> leftovers;
  for (const auto& entry : entries_of(output_dir))
    if (is_leftover(entry)) leftovers.push_back(entry.path());
  std::vector<std::string> names;
  for (const fs::path& path : leftovers) {
    remove_folder(path);
    names.push_back(path.filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace mtrain::checkpoint
