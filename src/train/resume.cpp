// Verifies checkpoints before a run resumes from one; called when a trainer is built.
#include "resume.hpp"

#include "mtrain/base/error.hpp"
#include "mtrain/base/log.hpp"
#include "mtrain/checkpoint/training_checkpoint.hpp"
#include "mtrain/config/on_resuming.hpp"
#include "remedy.hpp"
#include "same_run.hpp"
#include "stop_vote.hpp"

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

bool names_folder(const std::string& wanted) {
  return wanted != "auto" && wanted != "none";
}

fs::path named_checkpoint(const std::string& name, const comm::Session& session) {
  const std::string faults = verify(name, session);
  session.agree([&] {
    if (!faults.empty()) throw UserError(faults, kCheckpointRemedy);
  });
  return name;
}

/// Whether a start of this deck goes on with a checkpoint in its output_dir. Where that
/// cannot be read, "auto" takes it for its own: it is found damaged, not removed.
bool is_own(const fs::path& folder, const config::Deck& deck) {
  const std::string& wanted = deck.model.resume_from_checkpoint;
  const bool automatic = wanted == "auto";
  if (automatic && !deck.checkpoint.overwrite_output_dir) return true;
  std::optional<config::Deck> writer;
  try {
    writer = config::stored_deck(checkpoint::CheckpointReader(folder).deck_text());
  } catch (const Error&) {
    return automatic;
  }
  if (!writer) return automatic;  // of mconvert from-hf, which does not know the run
  const std::string& begun = writer->model.resume_from_checkpoint;
  const bool same_begin =
      begun == wanted ||
      (names_folder(begun) && names_folder(wanted) && same_path(begun, wanted));
  return (automatic || same_begin) && same_run(deck, *writer);
}

/// The names of the run's own, newest first.
std::vector<std::string> own_checkpoints(const config::Deck& deck) {
  std::vector<std::string> names;
  for (const auto& folder : checkpoint::list_checkpoints(deck.checkpoint.output_dir))
    if (is_own(folder, deck)) names.push_back(folder.filename());
  return names;
}

/// Rank 0's view of them, on every rank.
std::vector<std::string> own_checkpoints(const config::Deck& deck,
                                         const comm::Session& session) {
  std::vector<std::string> names;
  session.agree([&] {
    if (session.rank() == 0) names = own_checkpoints(deck);
  });
  const std::string agreed = session.broadcast_text(join(names, "/"));
  return agreed.empty() ? std::vector<std::string>{} : split(agreed, '/');
}

}  // namespace

void check_named_checkpoint(const config::Deck& deck) {
  const std::string& name = deck.model.resume_from_checkpoint;
  const char remedy[] = "name a checkpoint-STEP folder, or use auto or none";
  if (!names_folder(name) || !own_checkpoints(deck).empty()) return;
  if (!fs::is_directory(name))
    throw UserError(cat("resume_from_checkpoint: no folder ", name), remedy);
  if (!fs::exists(fs::path(name) / "manifest.json"))
    throw UserError(cat("resume_from_checkpoint: ", name,
                        " is no checkpoint: it has no manifest.json"),
                    remedy);
}

std::optional<fs::path> checkpoint_to_resume(const config::Deck& deck,
                                             const comm::Session& session) {
  const std::string& wanted = deck.model.resume_from_checkpoint;
  const fs::path dir = deck.checkpoint.output_dir;
  const auto names = own_checkpoints(deck, session);
  if (!names.empty() && wanted != "auto")
    log::info(cat("resume_from_checkpoint = ", wanted, " began the run in ", dir.string(),
                  ", which goes on; another output_dir begins anew"));
  if (names.empty() && names_folder(wanted)) {
    session.agree([&] { check_named_checkpoint(deck); });
    return named_checkpoint(wanted, session);
  }
  std::vector<std::string> all_faults;
  for (const auto& name : names) {
    stop_where_asked(session);
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
          cat("restore one from a copy, or start anew: ",
              wanted == "auto" ? "set resume_from_checkpoint = none and "
                                 "overwrite_output_dir = true"
                               : "choose another output_dir"));
  });
  return std::nullopt;
}

}  // namespace mtrain::train
