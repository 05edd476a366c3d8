// Owns the rules over output_dir: whose folder it is, what in it is a run's own, what may
// go; called by the trainer before anything is trained.
#include "output_dir.hpp"

#include <unistd.h>

#include "mtrain/base/error.hpp"
#include "mtrain/base/log.hpp"
#include "mtrain/checkpoint/safetensors.hpp"
#include "mtrain/checkpoint/training_checkpoint.hpp"
#include "output_lock.hpp"
#include "store_leftovers.hpp"

namespace mtrain::train {
namespace {

namespace fs = std::filesystem;

/// The results of a run overwrite the model it starts from, or remove it.
void refuse_model_as_output(const config::Deck& deck, const fs::path& dir) {
  const std::string& given = deck.model.model_name_or_path;
  if (given.empty()) return;
  std::error_code fault;
  const auto place = [&](const fs::path& path) {
    return fs::weakly_canonical(fs::absolute(path), fault);
  };
  const fs::path inside = place(given).lexically_relative(place(dir));
  if (fault || inside.empty()) return;
  const bool same = inside == ".";
  const bool removed = deck.checkpoint.overwrite_output_dir &&
                       inside.begin()->string().starts_with("checkpoint-");
  if (!same && !removed) return;
  throw UserError(cat("output_dir: ", dir.string(), same ? " is" : " holds",
                      " the model to start from, ", given),
                  "choose another folder");
}

/// Whether a run tells of itself under this name in its output_dir.
bool is_record_of_run(const std::string& name) {
  for (const char* known : {"trainer_log.jsonl", "run_summary.json", "runs", "logs",
                            "hang", "training_loss.svg", "moe_load.svg"})
    if (name == known) return true;
  return name.starts_with("trace-step-") && name.ends_with(".json");
}

/// Token stores are what a run that failed early leaves, and, where it died before its
/// first checkpoint, its records and locks; anything else is somebody's.
bool holds_only_beginnings(const fs::path& dir) {
  for (const auto& entry : fs::directory_iterator(dir)) {
    const std::string name = entry.path().filename();
    const bool known = is_record_of_run(name) || name == kFolderLock ||
                       name.ends_with(".h5") || name.ends_with(cat(".h5", kFileLock));
    if (!known) return false;
  }
  return true;
}

}  // namespace

void remove_earlier_run(const fs::path& dir) {
  const auto checkpoints = checkpoint::list_checkpoints(dir);
  if (!checkpoints.empty())
    log::warning(cat("overwrite_output_dir: ", checkpoints.size(),
                     " checkpoints of an earlier run are removed from ", dir.string()));
  for (const auto& folder : checkpoints) {
    // A removal that is cut short leaves no half checkpoint.
    const fs::path leftover = folder.string() + ".tmp";
    fs::remove_all(leftover);
    fs::rename(folder, leftover);
    fs::remove_all(leftover);
  }
  std::vector<fs::path> records;
  for (const auto& entry : fs::directory_iterator(dir))
    if (is_record_of_run(entry.path().filename())) records.push_back(entry.path());
  for (const auto& record : records) fs::remove_all(record);
}

bool continues_in(const fs::path& output_dir, const std::optional<fs::path>& checkpoint) {
  if (!checkpoint) return false;
  std::error_code missing;
  const fs::path folder = fs::weakly_canonical(fs::absolute(*checkpoint), missing);
  return fs::equivalent(folder.parent_path(), output_dir, missing);
}

void make_output_dir(const fs::path& dir) {
  std::error_code error;
  if (fs::exists(dir, error) && !fs::is_directory(dir, error)) {
    throw UserError(cat("output_dir: ", dir.string(), " is not a folder"),
                    "name a folder that can be created or written");
  }
  fs::create_directories(dir, error);
  if (error || access(dir.c_str(), W_OK) != 0) {
    throw UserError(cat("output_dir: cannot write to ", dir.string(),
                        error ? ": " + error.message() : std::string()),
                    "choose a folder you may write to");
  }
}

void prepare_output_dir(const config::Deck& deck, bool continues) {
  const fs::path dir = deck.checkpoint.output_dir;
  if (!continues) refuse_model_as_output(deck, dir);
  checkpoint::remove_leftovers(dir);
  remove_store_leftovers(dir / "tokens.h5");
  if (continues || deck.checkpoint.overwrite_output_dir) return;
  const bool resumable = !checkpoint::list_checkpoints(dir).empty();
  // The same command must do after a run was killed, whenever that was.
  if (!resumable && holds_only_beginnings(dir)) return;
  const bool run = resumable || fs::exists(dir / "trainer_log.jsonl");
  const bool model = checkpoint::holds_safetensors(dir);
  throw UserError(cat("output_dir: ", dir.string(), " already holds ",
                      run     ? "a training run"
                      : model ? "a model"
                              : "other files"),
                  cat("set overwrite_output_dir = true",
                      resumable ? ", or resume_from_checkpoint = auto" : "",
                      ", or choose another folder"));
}

}  // namespace mtrain::train
