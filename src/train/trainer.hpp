// A training run: everything a rank holds, and the loop over steps.
#pragma once

#include <memory>
#include <optional>

#include "batches.hpp"
#include "checkpointing.hpp"
#include "lr_schedule.hpp"
#include "model_files.hpp"
#include "mtrain/base/timer.hpp"
#include "mtrain/config/parse.hpp"
#include "run_log.hpp"
#include "token_stores.hpp"

namespace mtrain::train {

class Trainer {
 public:
  /// Reads, checks and builds everything; collective. Throws UserError, on all ranks
  /// alike, before anything is trained.
  Trainer(const config::ParsedDeck& parsed, const comm::Session& session);

  /// Trains and evaluates as the deck says, saves and exports at the end. A run that is
  /// complete already is left as it is.
  void run();

 private:
  void read_inputs();
  void build_model();
  void load_or_initialise();
  void resume(const checkpoint::CheckpointReader& reader);
  void print_banner() const;

  void train();
  /// One optimizer step; adds its loss to the interval's.
  void step();
  void log_step();
  /// Adds the tokens of all ranks since the last call to tokens_. Collective.
  void count_tokens();
  double evaluate();
  void save(bool last);
  void export_model(const std::filesystem::path& checkpoint,
                    const std::filesystem::path& hf_dir);
  at::ScalarType dtype() const { return model_->buffer().dtype(); }
  /// A complete run started again: says so, and repeats an export that was cut short.
  void leave_complete();
  void finish();
  int64_t total_steps() const;
  /// This rank's share of the step's loss: sum(weight * token loss), fp64 [1].
  at::Tensor loss_share(const StepBatch& batch) const;
  checkpoint::TrainingState state() const;
  /// Adds the time since the last call to `cause`.
  void account(const std::string& cause) { times_[cause] += clock_.restart(); }

  const config::ParsedDeck& parsed_;
  const config::Deck& deck_;
  const comm::Session& session_;
  comm::RankGrid grid_;
  comm::ProcessGroups groups_;
  ModelDescription description_;
  StorePaths stores_;
  std::optional<std::filesystem::path> resume_from_;
  std::optional<data::TokenStoreReader> train_store_, eval_store_;
  std::optional<BatchLoader> loader_, eval_loader_;
  std::unique_ptr<models::Model> model_;
  std::optional<parallel::GradientSync> sync_;
  std::optional<parallel::ParameterGather> gather_;
  std::optional<parallel::Optimizer> optimizer_;
  std::optional<LrSchedule> schedule_;
  std::optional<RunLog> log_;

  int64_t step_ = 0, total_steps_ = 0, cursor_ = 0, tokens_ = 0;
  int64_t interval_steps_ = 0;    ///< since the last log line
  double interval_loss_ = 0;      ///< sum over them
  int64_t interval_tokens_ = 0;   ///< since then, by this process, on all ranks
  int64_t uncounted_tokens_ = 0;  ///< of this data-parallel rank, not in tokens_ yet
  Stopwatch interval_clock_, clock_;
  StepFigures last_{};
  double eval_loss_;
  TimeByCause times_;
};

}  // namespace mtrain::train
