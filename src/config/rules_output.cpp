// Owns the rules over when a run saves and evaluates, and over the best model; called by
// parse_deck.
#include "checker.hpp"

namespace mtrain::config {

namespace {

/// A multiple of `every` near `value`, at least `every`.
int64_t near_multiple(int64_t value, int64_t every) {
  return std::max<int64_t>(1, value / every) * every;
}

void check_best_steps(Checker& checker) {
  const Deck& deck = checker.deck();
  const int64_t evaluations = deck.log.eval_steps.value_or(deck.log.logging_steps);
  const int64_t saves = deck.checkpoint.save_steps;
  if (saves > 0 && saves % evaluations == 0) return;
  checker.fault({"load_best_model_at_end", "save_steps", "eval_steps"},
                cat("load_best_model_at_end = true chooses among checkpoints that were "
                    "evaluated, but save_steps = ",
                    saves, " is no multiple of eval_steps = ", evaluations),
                cat("write save_steps = ", near_multiple(saves, evaluations)));
}

void check_best(Checker& checker) {
  const Deck& deck = checker.deck();
  if (!deck.checkpoint.load_best_model_at_end) {
    checker.no_effect("metric_for_best_model", "load_best_model_at_end = false");
    checker.no_effect("greater_is_better", "load_best_model_at_end = false");
    return;
  }
  const Strategy saves = deck.checkpoint.save_strategy;
  const Strategy evaluates = deck.train.do_eval ? deck.log.eval_strategy : Strategy::kNo;
  if (evaluates == Strategy::kNo || saves != evaluates) {
    checker.fault({"load_best_model_at_end", "eval_strategy", "save_strategy"},
                  cat("load_best_model_at_end = true chooses among checkpoints that were "
                      "evaluated, but save_strategy = ",
                      to_string(saves), " and eval_strategy = ", to_string(evaluates),
                      deck.train.do_eval ? "" : " (do_eval = false)"),
                  cat("write eval_strategy = ",
                      to_string(saves == Strategy::kNo ? Strategy::kSteps : saves),
                      " and save_strategy alike"));
    return;
  }
  if (saves == Strategy::kSteps) check_best_steps(checker);
}

}  // namespace

void check_output(Checker& checker) {
  const Deck& deck = checker.deck();
  const Strategy saves = deck.checkpoint.save_strategy;
  const Strategy evaluates = deck.log.eval_strategy;
  if (saves != Strategy::kSteps)
    checker.no_effect("save_steps", cat("save_strategy = ", to_string(saves)));
  if (!deck.train.do_eval) {
    checker.no_effect("eval_on_start", "do_eval = false");
    if (evaluates != Strategy::kNo) checker.no_effect("eval_strategy", "do_eval = false");
  } else if (evaluates != Strategy::kSteps) {
    checker.no_effect("eval_steps", cat("eval_strategy = ", to_string(evaluates)));
  }
  if (saves == Strategy::kNo ||
      (saves == Strategy::kSteps && !deck.checkpoint.save_steps))
    checker.no_effect("save_total_limit", "one checkpoint is saved, at the end");
  check_best(checker);
}

}  // namespace mtrain::config
