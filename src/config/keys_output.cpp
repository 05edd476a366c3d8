// Owns the declarations of [checkpoint], [dpo] and [log]; read by the key table.
#include "key_table.hpp"

namespace mtrain::config {

namespace {

void declare_best_model(std::vector<Key>& keys) {
  SectionKeys<Checkpoint> best(keys, "checkpoint", &Deck::checkpoint);
  best.add("load_best_model_at_end", &Checkpoint::load_best_model_at_end, false,
           any_value(),
           "keep the checkpoint with the best evaluation, and export it at the end");
  best.add("metric_for_best_model", &Checkpoint::metric_for_best_model, "",
           one_of_or_empty({"loss", "eval_loss"}),
           "figure of the evaluation that decides; null: loss");
  best.add("greater_is_better", &Checkpoint::greater_is_better, {}, any_value(),
           "whether the largest is the best; null: no, as it is a loss");
}

}  // namespace

void declare_checkpoint(std::vector<Key>& keys) {
  SectionKeys<Checkpoint> checkpoint(keys, "checkpoint", &Deck::checkpoint);
  checkpoint.add("output_dir", &Checkpoint::output_dir, "", any_value(),
                 "folder of logs, checkpoints and the final model");
  checkpoint.add("overwrite_output_dir", &Checkpoint::overwrite_output_dir, false,
                 any_value(),
                 "use output_dir even if it holds the results of another run");
  checkpoint
      .add(
          "accept_changes", &Checkpoint::accept_changes, false, any_value(),
          "go on from a checkpoint although the deck, the model or the data say to train "
          "otherwise now")
      .with_note("Also --accept-changes; what differs is listed in any case.");
  checkpoint.add("save_strategy", &Checkpoint::save_strategy, Strategy::kSteps,
                 any_value(),
                 "when checkpoints are saved besides the end: never, every save_steps "
                 "steps, or with each epoch");
  checkpoint.add("save_steps", &Checkpoint::save_steps, 500, at_least(0),
                 "steps between checkpoints; 0: only at the end");
  checkpoint.add("save_total_limit", &Checkpoint::save_total_limit, {}, at_least(1),
                 "checkpoints kept, the newest ones; null: all");
  checkpoint.add("save_hf_model", &Checkpoint::save_hf_model, false, any_value(),
                 "write Hugging Face files beside every checkpoint");
  checkpoint.add("save_only_model", &Checkpoint::save_only_model, false, any_value(),
                 "save weights without optimizer state: smaller, but cannot be resumed");
  checkpoint.add("async_save", &Checkpoint::async_save, true, any_value(),
                 "write checkpoints while training goes on");
  declare_best_model(keys);
}

void declare_dpo(std::vector<Key>& keys) {
  SectionKeys<Dpo> dpo(keys, "dpo", &Deck::dpo);
  dpo.add("pref_loss", &Dpo::pref_loss, PrefLoss::kSigmoid, any_value(),
          "preference loss");
  dpo.add("pref_beta", &Dpo::pref_beta, 0.1, above(0), "strength of the preference");
  dpo.add("pref_ftx", &Dpo::pref_ftx, 0.0, at_least(0),
          "weight of the chosen answer's own loss");
  dpo.add("dpo_label_smoothing", &Dpo::dpo_label_smoothing, 0.0, from_below(0, 0.5),
          "share of pairs assumed to be labelled the wrong way round");
  dpo.add("simpo_gamma", &Dpo::simpo_gamma, 0.5, at_least(0), "margin of the simpo loss");
  dpo.add("ref_model", &Dpo::ref_model, "", any_value(),
          "folder of the reference model; empty: the model before training");
  dpo.add("ref_log_probs", &Dpo::ref_log_probs, "", any_value(),
          "cache of the reference's log-probabilities, written by mprep");
}

void declare_log(std::vector<Key>& keys) {
  SectionKeys<Log> log(keys, "log", &Deck::log);
  log.add("logging_steps", &Log::logging_steps, 10, at_least(1),
          "steps between log lines")
      .with_note("The reference's default of 500 shows nothing of a short run.");
  log.add("report_to", &Log::report_to, ReportTo::kNone, any_value(),
          "where figures go besides trainer_log.jsonl: event files in output_dir/runs");
  log.add("plot_loss", &Log::plot_loss, false, any_value(),
          "draw training_loss.svg and, of models with experts, moe_load.svg");
  log.add(
         "eval_strategy", &Log::eval_strategy, Strategy::kSteps, any_value(),
         "when do_eval evaluates besides the end: never, every eval_steps steps, or with "
         "each epoch; given, it switches do_eval on")
      .with_note("The reference's default is no.");
  log.add("eval_steps", &Log::eval_steps, {}, at_least(1),
          "steps between evaluations; null: logging_steps");
  log.add("eval_on_start", &Log::eval_on_start, true, any_value(),
          "evaluate before the first step, too")
      .with_note(
          "The reference's default is false: its first figure has nothing to "
          "compare with.");
  log.add("log_per_rank", &Log::log_per_rank, false, any_value(),
          "one log file for each rank, in output_dir/logs");
  log.add("profile_step", &Log::profile_step, {}, at_least(1),
          "write trace-step-N.json: what every rank did in this step");
}

}  // namespace mtrain::config
