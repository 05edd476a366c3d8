// What a trainer does between two steps, evaluations and saves, and which model it
// exports in the end.
#include <cmath>

#include "mtrain/base/log.hpp"
#include "trainer.hpp"

namespace mtrain::train {

namespace fs = std::filesystem;

Stop Trainer::after_step() {
  const bool last = step_ == total_steps_;
  const bool ends_epoch = loader_->sampler().ends_epoch(cursor_);
  Stop stop = vote_.result();
  const bool evaluates = last || evaluation_is_due(deck_.log, step_, ends_epoch);
  double loss = std::nan("");
  if (deck_.train.do_eval && evaluates && (last || stop == Stop::kNo)) {
    eval_loss_ = loss = evaluate();
    stop = vote_.result();
  }
  const bool due = last || save_is_due(deck_.checkpoint, step_, ends_epoch);
  if (due) best_.judge(step_, loss);
  if (last) return Stop::kNo;
  if (due || stop != Stop::kNo) save(false);
  return stop;
}

void Trainer::export_result(const fs::path& last) {
  const fs::path output_dir = deck_.checkpoint.output_dir;
  if (!best_.step()) return export_model(last, output_dir);
  const fs::path best = output_dir / cat("checkpoint-", *best_.step());
  const bool there = fs::exists(best);
  if (session_.broadcast_text(there ? "there" : "").empty()) {
    log::warning(cat(best.string(), ", the best, is gone: the last is exported"));
    return export_model(last, output_dir);
  }
  log::info(cat("the best model is that of ", best.string(), ", eval_loss ",
                formatted("%.4f", best_.loss())));
  export_model(best, output_dir);
}

}  // namespace mtrain::train
