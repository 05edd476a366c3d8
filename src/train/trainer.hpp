// A training run: everything a rank holds, and the loop over steps.
#pragma once

#include <deque>
#include <memory>
#include <optional>

#include "batches.hpp"
#include "best_checkpoint.hpp"
#include "checkpoint_saver.hpp"
#include "checkpointing.hpp"
#include "course.hpp"
#include "device.hpp"
#include "late_copy.hpp"
#include "lr_schedule.hpp"
#include "model_files.hpp"
#include "moment.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/base/timer.hpp"
#include "mtrain/config/parse.hpp"
#include "mtrain/watch/watchdog.hpp"
#include "output_lock.hpp"
#include "preference.hpp"
#include "resume_changes.hpp"
#include "run_log.hpp"
#include "step_guard.hpp"
#include "stop_vote.hpp"
#include "token_stores.hpp"

namespace mtrain::train {

class Trainer {
 public:
  /// Reads, checks and builds everything; collective. Throws UserError, on all ranks
  /// alike, before anything is trained.
  Trainer(const config::ParsedDeck& parsed, const comm::Session& session,
          watch::Watchdog& watchdog);

  /// Trains and evaluates as the deck says, saves and exports at the end. A run that is
  /// complete already is left as it is. kExitRequeue when a signal ended it early.
  ExitCode run();

  /// Bytes of this rank by owner, beside the allocator's peak so far.
  std::string memory_text() const;

 private:
  /// A step that was started and is not settled yet.
  struct StepRecord {
    int64_t step, tokens;
    double epoch, learning_rate, flops;
    LateCopy totals;  ///< values of StepTotals
    LateCopy router;  ///< summed figures, of models with experts
    Moment done;
  };

  void read_inputs();
  /// Warns of keys that change nothing for this model and device.
  void tell_what_has_no_effect() const;
  /// Owns output_dir from here on, with the checkpoint to go on from, if there is one.
  void take_output_dir();
  /// Finds the stores and checks that they can be trained on.
  void read_stores();
  /// Where the run ends and its schedule stands, now that step and cursor are known.
  void set_course(int64_t first_batch);
  /// Agrees on the outcome of `run`, which needs room for whole models.
  template <class Run>
  void build(const Run& run);
  void build_model();
  void load_or_initialise();
  /// For preference training: the frozen weights it compares with, or their cache.
  void build_preference();
  void resume();
  void resume_interval(const checkpoint::TrainingState& state);
  void print_banner() const;
  /// Once, when the first step is settled: where the time until then went.
  void report_start();

  /// False when it was stopped before the last step.
  bool train();
  /// Evaluates and saves after a step, where either is due. How the run goes on.
  Stop after_step();
  /// The end of a run that stops early; false.
  bool stop_here(Stop why);
  /// Compares the copies of weights that several ranks hold, at the steps the deck says.
  void check_copies();
  /// The samples of the next step, their loss weights set. Collective.
  StepBatch draw();
  /// Runs a batch forward and backward.
  void run_passes(const StepBatch& batch);
  /// Starts one optimizer step. On a GPU it runs on while the host goes ahead.
  void step();
  /// Updates the weights by the gradients of `batch` and notes the step as under way.
  void update(const StepBatch& batch);
  /// "rank 3 (tensor 1, data 0, stage 1)".
  std::string rank_name() const;
  /// Waits for the oldest step under way, checks its figures and logs it when its turn
  /// has come.
  void settle();
  /// Judges a step's figures; a refused one is traced to its place. Collective then.
  bool accept_step(int64_t step, double loss, double norm);
  /// Settles steps until at most `late` are under way. Every rank does it at the same
  /// places.
  void settle_to(size_t late);
  void log_step(StepRecord record);
  double evaluate();
  /// Means over the whole evaluation set: of the loss, then of further figures; fp64 on
  /// the host; undefined where the ranks shall stop before it is through. Collective.
  at::Tensor evaluation_means();
  /// This rank's share of the loss of the passes just run, then of further figures.
  at::Tensor shares() const;
  /// Training flops of a token at the batch's mean length.
  double flops_per_token(const StepBatch& batch) const;
  void save(bool last);
  void export_model(const std::filesystem::path& checkpoint,
                    const std::filesystem::path& hf_dir);
  HfExport hf_export(const std::filesystem::path& folder) const;
  at::ScalarType dtype() const { return model_->buffer().dtype(); }
  /// Writes the model of a complete run: its best, where it is to be, or the last.
  void export_result(const std::filesystem::path& last);
  /// A complete run started again: says so, and repeats an export that was cut short.
  void leave_complete();
  /// `result`: "ok" or "stopped".
  void finish(const std::string& result);
  /// Tokens of a micro-batch of the store's longest samples.
  int64_t largest_micro_batch() const;
  checkpoint::TrainingState state() const;
  /// Notes the time since the last call as a phase of the start.
  void end_phase(const std::string& name);
  /// Adds the time since the last call to `cause`.
  void account(const std::string& cause) { times_[cause] += clock_.restart(); }

  const config::ParsedDeck& parsed_;
  const config::Deck& deck_;
  const comm::Session& session_;
  watch::Watchdog& watchdog_;
  std::unique_ptr<OutputLock> lock_;  ///< of output_dir, on rank 0
  at::Device device_;
  comm::RankGrid grid_;
  comm::ProcessGroups groups_;
  StopVote vote_;
  StepGuard guard_;
  ModelDescription description_;
  std::shared_ptr<const SideFiles> side_files_;  ///< of the exported model, on rank 0
  StorePaths stores_;
  std::optional<std::filesystem::path> resume_from_;
  std::optional<checkpoint::CheckpointReader> resumed_;  ///< until its state is taken on
  TrainedData data_;
  std::optional<data::TokenStoreReader> train_store_, eval_store_;
  std::optional<BatchLoader> loader_, eval_loader_;
  std::optional<Padding> padding_;
  std::unique_ptr<models::Model> model_;
  std::optional<Preference> preference_;
  std::optional<parallel::GradientSync> sync_;
  std::optional<parallel::ParameterGather> gather_;
  std::optional<parallel::Optimizer> optimizer_;
  std::optional<Course> course_;
  std::optional<LrSchedule> schedule_;
  std::optional<RunLog> log_;
  std::optional<CheckpointSaver> saver_;
  BestCheckpoint best_;

  int64_t step_ = 0, total_steps_ = 0, cursor_ = 0;
  std::deque<StepRecord> under_way_;
  int64_t tokens_ = 0;           ///< that entered the model since step 1, settled steps
  int64_t interval_steps_ = 0;   ///< since the last log line
  double interval_loss_ = 0;     ///< sum over them
  Rewards interval_rewards_{};   ///< likewise
  int64_t interval_tokens_ = 0;  ///< since then, by this process
  double interval_flops_ = 0;
  RouterLog interval_router_;
  DoingTimes interval_start_{};  ///< of this rank, when the interval began
  int64_t first_step_ = 0;       ///< steps done when this process began to train
  std::optional<Moment> interval_begin_;
  Stopwatch clock_;
  Stopwatch phase_clock_;
  std::vector<std::string> start_phases_;  ///< "weights 0.31 s": the way to step 1
  StepFigures last_{};
  double eval_loss_;
  TimeByCause times_;
};

}  // namespace mtrain::train
