// Makes a written checkpoint the committed one; called by rank 0 after all ranks
// finished.
#include <fcntl.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>

#include "checkpoint_paths.hpp"
#include "coverage.hpp"
#include "manifest.hpp"
#include "mtrain/base/crc32c.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/base/file.hpp"
#include "mtrain/base/json.hpp"
#include "mtrain/checkpoint/training_checkpoint.hpp"

namespace mtrain::checkpoint {
namespace {

namespace fs = std::filesystem;

void write_file(const fs::path& path, const std::string& text) {
  const File file = File::create(path);
  file.write_at(0, text.data(), text.size());
  file.sync();
}

std::vector<RankFile> parse_summaries(const std::vector<std::string>& summaries) {
  std::vector<RankFile> files;
  for (const std::string& text : summaries)
    files.push_back(rank_file_from_json(parse_json(text, "summary of a rank")));
  return files;
}

void check_files(const std::vector<RankFile>& files, int64_t step,
                 const fs::path& folder) {
  const auto world = static_cast<int>(files.size());
  MT_CHECK(world > 0, "no rank wrote");
  for (int rank = 0; rank < world; ++rank) {
    const RankFile& file = files[static_cast<size_t>(rank)];
    MT_CHECK(file.rank == rank && file.world == world && file.step == step, "summary ",
             rank, " is of rank ", file.rank, " of ", file.world, ", step ", file.step);
    const int64_t bytes = File::open_to_read(folder / file.name()).size();
    MT_CHECK(bytes == file.bytes, file.name(), " has ", bytes, " bytes, not ",
             file.bytes);
  }
}

/// Every tensor of every group must be stored whole, in one dtype and shape.
void check_coverage(const std::vector<RankFile>& files) {
  std::map<std::pair<std::string, std::string>, std::vector<const StoredBox*>> tensors;
  for (const RankFile& file : files)
    for (const StoredBox& stored : file.boxes)
      tensors[{stored.group, stored.box.tensor}].push_back(&stored);
  for (const auto& [name, pieces] : tensors) {
    std::vector<parallel::Box> boxes;
    for (const StoredBox* piece : pieces) {
      MT_CHECK(piece->box.full == pieces[0]->box.full && piece->dtype == pieces[0]->dtype,
               name.first, "/", name.second, " has more than one shape or dtype");
      boxes.push_back(piece->box);
    }
    const auto missing = uncovered(whole_box(name.second, boxes[0].full), boxes);
    MT_CHECK(missing.empty(), "no rank stored ", name.first, "/",
             parallel::to_string(missing[0]));
  }
}

/// Gives the folder its final name. An older one of that name changes places with it in
/// one step, so that at every instant one whole checkpoint bears the name.
void install(const fs::path& temporary, const fs::path& final_path) {
  if (!has_entry(final_path)) return rename_file(temporary, final_path);
  const int result = ::renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD,
                                 final_path.c_str(), RENAME_EXCHANGE);
  if (result != 0)
    throw Error(cat("cannot replace ", final_path.string(), ": ", std::strerror(errno)),
                "remove it, or choose another output_dir");
}

}  // namespace

fs::path commit(const fs::path& output_dir, int64_t step,
                const std::vector<std::string>& rank_summaries,
                const TrainingState& state, const std::string& deck_text) {
  MT_CHECK(state.step == step, "state of step ", state.step, " saved as step ", step);
  const fs::path temporary = temporary_folder(output_dir, step);
  Manifest manifest{state, parse_summaries(rank_summaries),
                    static_cast<int64_t>(deck_text.size()),
                    crc32c(0, deck_text.data(), deck_text.size())};
  check_files(manifest.files, step, temporary);
  check_coverage(manifest.files);
  write_file(temporary / kDeckFile, deck_text);
  write_file(temporary / kManifestFile, manifest_text(manifest));
  sync_directory(temporary);
  const fs::path final_path = checkpoint_folder(output_dir, step);
  install(temporary, final_path);
  sync_directory(output_dir);
  // An older one that changed places: what remains is a leftover, removed at the next
  // start.
  std::error_code ignored;
  if (has_entry(temporary)) fs::remove_all(temporary, ignored);
  return final_path;
}

}  // namespace mtrain::checkpoint
