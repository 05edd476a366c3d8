// Log files and console progress of a run; called by the trainer on rank 0.
#include "run_log.hpp"

#include <cmath>
#include <nlohmann/json.hpp>

#include "mtrain/base/error.hpp"
#include "mtrain/base/log.hpp"
#include "progress.hpp"
#include "run_pictures.hpp"

namespace mtrain::train {
namespace {

using Json = nlohmann::ordered_json;

/// A float value rounded to nine significant digits, which name every float exactly.
double nine_digits(double value) {
  char text[64];
  std::snprintf(text, sizeof text, "%.9g", value);
  return std::strtod(text, nullptr);
}

/// Keeps the lines of an earlier run up to its step `last`; a resumed run writes the rest
/// anew.
void cut_log(const std::filesystem::path& path, int64_t last) {
  std::ifstream in(path);
  std::string kept, line;
  while (std::getline(in, line)) {
    const auto json = Json::parse(line, nullptr, false);
    if (!json.is_object() || json.value("current_steps", int64_t{0}) > last) break;
    kept += line + "\n";
  }
  in.close();
  std::ofstream(path, std::ios::trunc) << kept;
}

/// Adds the rewards, their names behind `prefix`.
void add_rewards(Json& line, const std::optional<Rewards>& rewards,
                 const std::string& prefix) {
  if (!rewards) return;
  line[prefix + "rewards_chosen"] = nine_digits(rewards->chosen);
  line[prefix + "rewards_rejected"] = nine_digits(rewards->rejected);
  line[prefix + "rewards_accuracies"] = nine_digits(rewards->accuracy);
  line[prefix + "rewards_margins"] = nine_digits(rewards->chosen - rewards->rejected);
}

Json to_json(const Spread& s, const char* slowest) {
  return {{"min", nine_digits(s.least)},
          {"mean", nine_digits(s.mean)},
          {"max", nine_digits(s.most)},
          {slowest, s.rank}};
}

/// Seconds by what they went into, over the ranks.
Json to_json(const RankTimes& times) {
  Json json;
  for (int i = 0; i < kDoings; ++i)
    json[to_string(static_cast<Doing>(i))] =
        to_json(times.of[static_cast<size_t>(i)], "max_rank");
  json["work"] = to_json(times.work, "slowest_rank");
  return json;
}

}  // namespace

std::optional<int64_t> summarised_step(const std::filesystem::path& output_dir) {
  std::ifstream in(output_dir / "run_summary.json");
  const auto summary = Json::parse(in, nullptr, false);
  if (!summary.is_object() || summary.value("result", Json()) != "ok") return {};
  const Json steps = summary.value("steps", Json());
  return steps.is_number_integer() ? std::optional(steps.get<int64_t>()) : std::nullopt;
}

RunLog::RunLog(const std::filesystem::path& output_dir, bool writes, int64_t from_step,
               const LogOptions& options)
    : output_dir_(output_dir),
      writes_(writes),
      terminal_(on_terminal()),
      from_step_(from_step),
      options_(options) {
  if (!writes_) return;
  const auto path = output_dir / "trainer_log.jsonl";
  cut_log(path, from_step);
  log_.open(path, std::ios::app);
  if (!log_) throw UserError(cat("cannot write ", path.string()), "check output_dir");
  if (options.tensorboard) tensorboard_.emplace(output_dir / "runs", from_step);
}

void RunLog::step(const StepFigures& f) {
  if (!writes_) return;
  const double elapsed = since_start_.seconds();
  const auto done = static_cast<double>(f.step - from_step_);
  const double remaining = elapsed / done * static_cast<double>(f.total_steps - f.step);
  Json line = {{"current_steps", f.step},
               {"total_steps", f.total_steps},
               {"epoch", nine_digits(f.epoch)},
               {"loss", nine_digits(f.loss)},
               {"grad_norm", nine_digits(f.grad_norm)},
               {"lr", f.learning_rate},
               {"num_tokens", f.tokens},
               {"tokens_per_second", std::round(f.tokens_per_second * 10) / 10},
               {"tflops_per_gpu", nine_digits(f.tflops_per_rank)},
               {"peak_memory_bytes", f.peak_memory_bytes},
               {"elapsed_time", human_duration(elapsed)},
               {"remaining_time", human_duration(remaining)}};
  add_rewards(line, f.rewards, "");
  if (f.router) {
    line["aux_loss"] = nine_digits(f.router->balance_loss);
    line["z_loss"] = nine_digits(f.router->z_loss);
    line["router_entropy"] = nine_digits(f.router->entropy);
    line["moe_load_max_over_mean"] = nine_digits(f.router->largest_load());
    line["moe_dropped_tokens"] = f.router->all_dropped();
  }
  if (f.times) line["seconds_by_phase"] = to_json(*f.times);
  log_ << line.dump() << "\n" << std::flush;
  if (f.router) router_ = f.router;
  if (tensorboard_) to_tensorboard(f);
  progress(f, elapsed, remaining);
}

void RunLog::to_tensorboard(const StepFigures& f) {
  std::vector<report::Scalar> scalars = {
      {"train/loss", f.loss},
      {"train/grad_norm", f.grad_norm},
      {"train/learning_rate", f.learning_rate},
      {"train/epoch", f.epoch},
      {"speed/tokens_per_second", f.tokens_per_second},
      {"speed/tflops_per_gpu", f.tflops_per_rank},
      {"memory/peak_bytes", static_cast<double>(f.peak_memory_bytes)}};
  if (f.rewards) {
    scalars.push_back({"train/rewards_chosen", f.rewards->chosen});
    scalars.push_back({"train/rewards_rejected", f.rewards->rejected});
    scalars.push_back({"train/rewards_accuracies", f.rewards->accuracy});
  }
  if (f.router) {
    scalars.push_back({"moe/aux_loss", f.router->balance_loss});
    scalars.push_back({"moe/z_loss", f.router->z_loss});
    scalars.push_back({"moe/router_entropy", f.router->entropy});
    scalars.push_back({"moe/load_max_over_mean", f.router->largest_load()});
  }
  for (int i = 0; f.times && i < kDoings; ++i)
    scalars.push_back({"seconds/" + to_string(static_cast<Doing>(i)),
                       f.times->of[static_cast<size_t>(i)].mean});
  tensorboard_->scalars(f.step, scalars);
}

void RunLog::progress(const StepFigures& f, double elapsed, double remaining) {
  const auto width = std::to_string(f.total_steps).size();
  const std::string step = std::to_string(f.step);
  const std::string line = cat(
      "step ", std::string(width - step.size(), ' '), step, "/", f.total_steps, "  loss ",
      formatted("%.4f", f.loss), "  grad norm ", formatted("%.3f", f.grad_norm), "  lr ",
      formatted("%.2e", f.learning_rate), "  ", human_count(f.tokens_per_second),
      " tok/s  elapsed ", human_duration(elapsed), "  ETA ", human_duration(remaining));
  if (!terminal_) return log::info(line);
  constexpr int kBarWidth = 20;
  const auto filled = static_cast<size_t>(kBarWidth * f.step / f.total_steps);
  const std::string bar = std::string(filled, '#') + std::string(kBarWidth - filled, '.');
  std::printf("\r\033[K[%s] %s%s", bar.c_str(), line.c_str(),
              f.step == f.total_steps ? "\n" : "");
  std::fflush(stdout);
}

void RunLog::evaluation(int64_t step, int64_t total_steps, double loss,
                        const std::optional<Rewards>& rewards, double seconds) {
  if (!writes_) return;
  Json line = {{"current_steps", step},
               {"total_steps", total_steps},
               {"eval_loss", nine_digits(loss)}};
  if (!rewards) line["eval_perplexity"] = nine_digits(std::exp(loss));
  add_rewards(line, rewards, "eval_");
  line["eval_runtime"] = std::round(seconds * 1000) / 1000;
  if (tensorboard_) tensorboard_->scalars(step, {{"eval/loss", loss}});
  log_ << line.dump() << "\n" << std::flush;
  const std::string second =
      rewards ? cat("chosen preferred ", formatted("%.1f", 100 * rewards->accuracy), " %")
              : cat("perplexity ", formatted("%.2f", std::exp(loss)));
  log::info(cat(terminal_ ? "\r\033[K" : "", "evaluation at step ", step, ": loss ",
                formatted("%.4f", loss), ", ", second));
}

void RunLog::draw() const {
  if (writes_ && options_.pictures) draw_pictures(output_dir_, router_);
}

void RunLog::summary(const std::string& result, const StepFigures& last,
                     const TimeByCause& times, const RankTimes& ranks,
                     const std::vector<int64_t>& peak_memory_per_rank,
                     double final_eval_loss) {
  if (!writes_) return;
  double total = 0;
  Json seconds;
  for (const auto& [cause, time] : times) {
    seconds[cause] = std::round(time * 1000) / 1000;
    total += time;
  }
  const double stepping = times.count("step") ? times.at("step") : 0.0;
  Json json = {{"result", result},
               {"steps", last.step},
               {"total_steps", last.total_steps},
               {"num_tokens", last.tokens},
               {"loss", nine_digits(last.loss)},
               {"tokens_per_second", std::round(last.tokens_per_second * 10) / 10},
               {"wall_seconds", std::round(total * 1000) / 1000},
               {"wall_seconds_by_cause", seconds},
               {"productive_share", total > 0 ? nine_digits(stepping / total) : 0.0},
               {"step_seconds_by_phase", to_json(ranks)},
               {"peak_memory_bytes_per_rank", peak_memory_per_rank}};
  if (last.router) {
    for (const auto& layer : last.router->loads)
      json["moe_load_max_over_mean_per_layer"].push_back(
          nine_digits(largest_load(layer)));
    json["moe_dropped_tokens_per_layer"] = last.router->dropped;
  }
  if (std::isfinite(final_eval_loss)) json["eval_loss"] = nine_digits(final_eval_loss);
  std::ofstream(output_dir_ / "run_summary.json") << json.dump(2) << "\n";
}

}  // namespace mtrain::train
