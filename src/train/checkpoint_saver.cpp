// The phases of a save: copied, written by all ranks, committed by rank 0; driven by the
// trainer at step boundaries, since only its thread may use MPI.
#include "checkpoint_saver.hpp"

#include <ATen/ATen.h>

#include <algorithm>

#include "best_checkpoint.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/base/log.hpp"
#include "mtrain/data/token_store.hpp"

namespace mtrain::train {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kCastElements = int64_t{16} << 20;  // cast at a time for Hugging Face
constexpr double kSlowDisk = 100e6;  // bytes a second and rank, until a save was measured

/// Bytes that read back otherwise than written are no fault of the user's input.
template <class Action>
void as_failure(const Action& action) {
  try {
    action();
  } catch (const UserError& fault) {
    throw Error(fault.what(), fault.remedy());
  }
}

bool all_are(const std::vector<std::string>& texts, const std::string& wanted) {
  return std::ranges::all_of(texts, [&](const auto& text) { return text == wanted; });
}

}  // namespace

CheckpointSaver::CheckpointSaver(const config::Checkpoint& options,
                                 const parallel::Optimizer& optimizer,
                                 at::ScalarType dtype, const comm::Session& session)
    : options_(options),
      session_(session),
      snapshot_(optimizer, options.save_only_model, dtype, session),
      guessed_seconds_(static_cast<double>(optimizer.state_bytes()) / kSlowDisk) {}

void CheckpointSaver::save(const checkpoint::TrainingState& state,
                           const std::string& deck_text,
                           const std::optional<HfExport>& hf) {
  if (phase_ != Phase::kIdle)
    log::info(
        cat("step ", state.step, " waits until checkpoint-", state_.step, " is written"));
  wait();
  const Stopwatch blocking;
  clock_.restart();
  state_ = state;
  deck_text_ = deck_text;
  hf_ = hf;
  prepare();
  const Stopwatch copying;
  snapshot_.copy();
  copy_seconds_ = copying.seconds();
  // Without a lock of its own HDF5 must stay on this thread, as the data loader does.
  if (!data::TokenStoreReader::readable_by_threads())
    session_.agree([&] { as_failure([&] { lay_out(); }); });
  start(Phase::kWriting, &CheckpointSaver::write);
  blocking_seconds_ = blocking.seconds();
  if (!options_.async_save) wait();
}

void CheckpointSaver::start(Phase phase, Part part) {
  phase_ = phase;
  work_.start([this, part](const auto& cancelled) {
    as_failure([&] { (this->*part)(cancelled); });
  });
}

/// Everything that needs HDF5.
void CheckpointSaver::lay_out() {
  writer_.emplace(options_.output_dir, state_.step, session_.rank(),
                  session_.world_size());
  writer_->reserve(snapshot_.pieces());
  writer_->close();
}

void CheckpointSaver::write(const Cancelled& cancelled) {
  if (!writer_) lay_out();
  if (hf_) create_hf_files();
  for (const auto& piece : snapshot_.pieces()) {
    if (cancelled()) throw Error("the save was given up");
    writer_->store({piece});
  }
  summary_ = writer_->finish();
  writer_.reset();
}

/// On rank 0 before the others open them.
void CheckpointSaver::create_hf_files() {
  hf_->folder = checkpoint::temporary_folder(options_.output_dir, state_.step) / "hf";
  if (session_.rank() == 0)
    hf_writer_.emplace(checkpoint::SafetensorsWriter::create(
        hf_->folder, tensor_plan(*hf_), hf_->max_shard_bytes));
}

void CheckpointSaver::write_hf_files(const Cancelled& cancelled) {
  if (!hf_writer_)
    hf_writer_.emplace(checkpoint::SafetensorsWriter::join(hf_->folder, tensor_plan(*hf_),
                                                           hf_->max_shard_bytes));
  for (const auto& piece : snapshot_.pieces()) {
    if (cancelled()) throw Error("the save was given up");
    if (piece.group == checkpoint::kMasterGroup ||
        piece.group == checkpoint::kWeightsGroup)
      write_hf(piece);
  }
  hf_summary_ = hf_writer_->summary();
}

/// Some rows at a time, so that the cast copy stays small.
void CheckpointSaver::write_hf(const checkpoint::NamedPiece& piece) {
  if (piece.data.dim() == 0)
    return hf_writer_->write(piece.box, piece.data.to(hf_->dtype));
  const int64_t rows = piece.data.size(0);
  const int64_t step = std::max<int64_t>(1, kCastElements * rows / piece.box.size());
  for (int64_t first = 0; first < rows; first += step) {
    parallel::Box box = piece.box;
    box.offset[0] += first;
    box.extent[0] = std::min(step, rows - first);
    hf_writer_->write(box, piece.data.narrow(0, first, box.extent[0]).to(hf_->dtype));
  }
}

void CheckpointSaver::poll() {
  if (phase_ == Phase::kIdle) return;
  const bool done = work_.done();
  const bool failed = done && work_.failure();
  const auto states = session_.all_gather_text(failed ? "failed" : done ? "done" : "");
  if (std::ranges::find(states, "failed") != states.end())
    session_.agree([&] {
      if (failed) std::rethrow_exception(work_.failure());
    });
  if (!all_are(states, "done")) return;
  const Stopwatch blocking;
  if (phase_ == Phase::kWriting && hf_)
    start(Phase::kExporting, &CheckpointSaver::write_hf_files);
  else if (phase_ == Phase::kCommitting)
    end_save();
  else
    start_commit();
  blocking_seconds_ += blocking.seconds();
}

void CheckpointSaver::wait() {
  while (phase_ != Phase::kIdle) {
    const Stopwatch blocking;
    work_.wait();
    blocking_seconds_ += blocking.seconds();
    poll();
  }
}

void CheckpointSaver::start_commit() {
  summaries_ = session_.all_gather_text(summary_);
  if (hf_) hf_summaries_ = session_.all_gather_text(hf_summary_);
  phase_ = Phase::kCommitting;
  if (session_.rank() == 0) start(Phase::kCommitting, &CheckpointSaver::commit);
}

void CheckpointSaver::commit(const Cancelled&) {
  if (hf_) {
    hf_writer_->commit(hf_summaries_);
    write_hf_side_files(*hf_);
  }
  installed_ = checkpoint::commit(options_.output_dir, state_.step, summaries_, state_,
                                  deck_text_);
  if (!options_.save_total_limit) return;
  // Every rank has read its file back already; what is left is how they fit together.
  const checkpoint::CheckpointReader reader(installed_);
  reader.deck_text();
  checkpoint::prune_checkpoints(options_.output_dir,
                                static_cast<int>(*options_.save_total_limit), state_.step,
                                best_step(state_.extra));
}

double CheckpointSaver::expected_seconds() const {
  const double one = longest_seconds_ > 0 ? longest_seconds_ : guessed_seconds_;
  return phase_ == Phase::kIdle ? one : 2 * one;
}

void CheckpointSaver::end_save() {
  phase_ = Phase::kIdle;
  longest_seconds_ = std::max(longest_seconds_, clock_.seconds());
  hf_writer_.reset();
  committed_ = session_.broadcast_text(installed_.string());
  log::info(cat("checkpoint saved: ", committed_.string(), " (training stood still ",
                formatted("%.3f s", blocking_seconds_), ", ",
                formatted("%.3f s", copy_seconds_), " of it copying ",
                human_bytes(static_cast<double>(snapshot_.bytes())), "; on disk after ",
                formatted("%.3f s", clock_.seconds()), ")"));
}

}  // namespace mtrain::train
