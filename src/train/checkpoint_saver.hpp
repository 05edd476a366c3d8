// Saving while training goes on: copy, write in the background, commit once all ranks
// have written.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "background.hpp"
#include "checkpointing.hpp"
#include "mtrain/base/timer.hpp"
#include "mtrain/checkpoint/safetensors.hpp"
#include "snapshot.hpp"

namespace mtrain::train {

/// Saves checkpoints one after another. Every call is collective: all ranks make the same
/// calls at the same step boundaries. A failure of any rank, in the background too, is
/// thrown on all of them by the next call; older checkpoints stay whole.
class CheckpointSaver {
 public:
  CheckpointSaver(const config::Checkpoint& options, const parallel::Optimizer& optimizer,
                  at::ScalarType dtype, const comm::Session& session);

  /// Agrees on who stores what and makes room for it, once, so that the first save need
  /// not.
  void prepare() { snapshot_.prepare(); }
  /// Host memory this rank's copy takes; 0 before it is made.
  int64_t copy_bytes() const { return snapshot_.bytes(); }

  /// Waits for an unfinished save, copies the state to host memory and starts writing.
  /// With `hf` the weights are written as Hugging Face files too, into its folder "hf"
  /// inside the checkpoint (`hf->folder` is not used). Returns when training may go on:
  /// with async_save after the copy, else after the commit.
  void save(const checkpoint::TrainingState& state, const std::string& deck_text,
            const std::optional<HfExport>& hf);
  /// At every step boundary: takes a save on when all ranks are done with a part of it.
  void poll();
  /// Returns when nothing is unfinished.
  void wait();

  /// Seconds a save may take from its start to its end on disk, an unfinished one before
  /// it included: the longest so far, else at the speed of a slow disk.
  double expected_seconds() const;

  /// The last committed checkpoint of this object; empty before the first.
  const std::filesystem::path& committed() const { return committed_; }

 private:
  enum class Phase { kIdle, kWriting, kExporting, kCommitting };
  using Cancelled = BackgroundWork::Cancelled;
  using Part = void (CheckpointSaver::*)(const Cancelled&);

  /// Runs a part of the save in the background.
  void start(Phase phase, Part part);
  void lay_out();
  void write(const Cancelled& cancelled);
  void create_hf_files();
  void write_hf_files(const Cancelled& cancelled);
  void write_hf(const checkpoint::NamedPiece& piece);
  void commit(const Cancelled& cancelled);
  void start_commit();
  void end_save();

  const config::Checkpoint& options_;
  const comm::Session& session_;
  Snapshot snapshot_;
  Phase phase_ = Phase::kIdle;
  checkpoint::TrainingState state_;
  std::string deck_text_;
  std::optional<HfExport> hf_;
  std::optional<checkpoint::CheckpointWriter> writer_;
  std::optional<checkpoint::SafetensorsWriter> hf_writer_;
  std::string summary_, hf_summary_;
  std::vector<std::string> summaries_, hf_summaries_;  ///< of all ranks
  Stopwatch clock_;  ///< since the save began, earlier ones done
  double copy_seconds_ = 0, blocking_seconds_ = 0;
  double guessed_seconds_, longest_seconds_ = 0;
  std::filesystem::path installed_;  ///< what commit() made, on rank 0
  std::filesystem::path committed_;
  BackgroundWork work_;  ///< last: ends before what it uses goes
};

}  // namespace mtrain::train
