// Verifies checkpoints before a run resumes from one; called when a trainer is built.
#include "resume.hpp"

#include "mtrain/base/error.hpp"
#include "mtrain/base/log.hpp"
#include "mtrain/checkpoint/training_checkpoint.hpp"
#include "remedy.hpp"

namespace mtrain::train {
namespace {

namespace fs = std::filesystem;

constexpr size_t kFaultsShown = 5;

/// What this rank's share of the bytes has of faults; opening may find them, too.
std::string faults_of(const fs::path& folder, const comm::Session& session) {
  try {
    const checkpoint::CheckpointReader reader(folder);
    auto faults = reader.verify(session.rank(), session.world_size());
    const size_t more = faults.size() - std::min(faults.size(), kFaultsShown);
    faults.resize(faults.size() - more);
    if (more > 0) faults.push_back(cat("and ", more, " more"));
    return join(faults, "; ");
  } catch (const Error& fault) {
    return fault.what();
  }
}

/// The faults of a checkpoint, or "". Collective.
std::string verify(const fs::path& folder, const comm::Session& session) {
  std::vector<std::string> distinct;
  for (auto& faults : session.all_gather_text(faults_of(folder, session)))
    if (!faults.empty() && (distinct.empty() || distinct.back() != faults))
      distinct.push_back(std::move(faults));
  return join(distinct, "; ");
}

fs::path named_checkpoint(const std::string& name, const comm::Session& session) {
  session.agree([&] {
    if (!fs::is_directory(name))
      throw UserError(cat("resume_from_checkpoint: no folder ", name),
                      "name a checkpoint-STEP folder, or use auto or none");
  });
  const std::string faults = verify(name, session);
  session.agree([&] {
    if (!faults.empty()) throw UserError(faults, kCheckpointRemedy);
  });
  return name;
}

/// Rank 0's view of the folder, on every rank.
std::vector<std::string> checkpoints_in(const fs::path& dir,
                                        const comm::Session& session) {
  std::vector<std::string> names;
  for (const auto& folder : checkpoint::list_checkpoints(dir))
    names.push_back(folder.filename());
  const std::string agreed = session.broadcast_text(join(names, "/"));
  return agreed.empty() ? std::vector<std::string>{} : split(agreed, '/');
}

}  // namespace

std::optional<fs::path> checkpoint_to_resume(const config::Deck& deck,
                                             const comm::Session& session) {
  const std::string& wanted = deck.model.resume_from_checkpoint;
  if (wanted == "none") return std::nullopt;
  if (wanted != "auto") return named_checkpoint(wanted, session);
  const fs::path dir = deck.checkpoint.output_dir;
  const auto names = checkpoints_in(dir, session);
  std::vector<std::string> all_faults;
  for (const auto& name : names) {
    const std::string faults = verify(dir / name, session);
    if (faults.empty()) {
      if (!all_faults.empty())
        log::warning(cat("resuming from ", name, ", the newest that is sound"));
      return dir / name;
    }
    log::warning(cat(name, " is damaged and is passed over: ", faults));
    all_faults.push_back(faults);
  }
  session.agree([&] {
    if (!all_faults.empty())
      throw UserError(
          cat("no checkpoint in ", dir.string(), " is sound: ", join(all_faults, "; ")),
          "restore one from a copy, or set resume_from_checkpoint = none and "
          "overwrite_output_dir = true to start anew");
  });
  return std::nullopt;
}

}  // namespace mtrain::train
