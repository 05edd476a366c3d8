// Owns the lines and the bar of a running training; RunLog calls it on rank 0.
#include "console.hpp"

#include <cmath>

#include "mtrain/base/log.hpp"
#include "mtrain/base/text.hpp"
#include "progress.hpp"

namespace mtrain::train {
namespace {

/// "step  15/100": padded so that lines stand below each other.
std::string count(int64_t step, int64_t total_steps) {
  const std::string total = std::to_string(total_steps), now = std::to_string(step);
  const size_t pad = total.size() - std::min(total.size(), now.size());
  return cat("step ", std::string(pad, ' '), now, "/", total);
}

}  // namespace

Console::Console(int64_t from_step)
    : terminal_(log::on_terminal()), from_step_(from_step) {}

double Console::remaining(int64_t step, int64_t total_steps) const {
  const auto done = static_cast<double>(step - from_step_);
  return done > 0 ? elapsed() / done * static_cast<double>(total_steps - step) : 0;
}

void Console::moved(int64_t step, int64_t total_steps) {
  constexpr int kWidth = 20;
  if (!terminal_) return;
  const double share = static_cast<double>(step) / static_cast<double>(total_steps);
  const std::string pace =
      tokens_per_second_ > 0 ? human_count(tokens_per_second_) + " tok/s  " : "";
  log::status(cat(bar(share, kWidth), " ", count(step, total_steps), "  ", pace,
                  "elapsed ", human_duration(elapsed()), "  ETA ",
                  human_duration(remaining(step, total_steps))));
}

std::vector<std::string> Console::fields(const StepFigures& f) const {
  std::vector<std::string> fields = {count(f.step, f.total_steps),
                                     "loss " + formatted("%.4f", f.loss),
                                     "norm " + formatted("%.3f", f.grad_norm)};
  // The bar has no room for these, and lines with further figures none on a terminal.
  if (!terminal_ || (!f.rewards && !f.router))
    fields.push_back("lr " + formatted("%.2e", f.learning_rate));
  if (f.rewards) {
    const double margin = f.rewards->chosen - f.rewards->rejected;
    fields.push_back("chosen preferred " +
                     formatted("%.1f %%", 100 * f.rewards->accuracy));
    fields.push_back("margin " + formatted("%.4f", margin));
  }
  if (f.router)
    fields.push_back("busiest expert " + formatted("%.2fx", f.router->largest_load()));
  if (terminal_) return fields;  // the bar has the rest
  fields.push_back(human_count(f.tokens_per_second) + " tok/s");
  fields.push_back("elapsed " + human_duration(elapsed()));
  fields.push_back("ETA " + human_duration(remaining(f.step, f.total_steps)));
  return fields;
}

void Console::step(const StepFigures& figures) {
  tokens_per_second_ = figures.tokens_per_second;
  log::event(join(fields(figures), "  "));
}

void Console::evaluation(int64_t step, double loss,
                         const std::optional<Rewards>& rewards) {
  const std::string second =
      rewards ? cat("chosen preferred ", formatted("%.1f", 100 * rewards->accuracy), " %")
              : cat("perplexity ", formatted("%.2f", std::exp(loss)));
  log::event(
      cat("evaluation at step ", step, ": loss ", formatted("%.4f", loss), ", ", second));
}

void Console::end() {
  log::status("");
}

}  // namespace mtrain::train
