// Log files and console progress of a run; called by the trainer on rank 0.
#include "run_log.hpp"

#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "mtrain/base/error.hpp"
#include "mtrain/base/file.hpp"
#include "mtrain/base/log.hpp"
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

constexpr char kSummaryFile[] = "run_summary.json";
constexpr int64_t kLongestSummary = 16 << 20;

/// Keeps the lines of an earlier run up to its step `last`; a resumed run writes the rest
/// anew.
void cut_log(const std::filesystem::path& path, int64_t last) {
  if (!has_entry(path)) return;
  std::istringstream in(read_text(File::open_to_read(path), kLongestLog));
  std::string kept, line;
  bool all = true;
  while (all && std::getline(in, line)) {
    const auto json = Json::parse(line, nullptr, false);
    all = json.is_object() && json.value("current_steps", int64_t{0}) <= last;
    if (all) kept += line + "\n";
  }
  if (!all) write_file_atomically(path, kept);
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
  const auto path = output_dir / kSummaryFile;
  if (!has_entry(path)) return {};
  const auto summary =
      Json::parse(read_text(File::open_to_read(path), kLongestSummary), nullptr, false);
  if (!summary.is_object() || summary.value("result", Json()) != "ok") return {};
  const Json steps = summary.value("steps", Json());
  return steps.is_number_integer() ? std::optional(steps.get<int64_t>()) : std::nullopt;
}

RunLog::RunLog(const std::filesystem::path& output_dir, bool writes, int64_t from_step,
               const LogOptions& options)
    : output_dir_(output_dir), writes_(writes), options_(options), console_(from_step) {
  if (!writes_) return;
  const auto path = output_dir / "trainer_log.jsonl";
  cut_log(path, from_step);
  rows_.emplace(path);
  if (options.tensorboard) tensorboard_.emplace(output_dir / "runs", from_step);
}

void RunLog::add_row(const std::string& row) {
  rows_->add(row + "\n");
  const std::string fault = told_ ? "" : rows_->fault();
  if (fault.empty()) return;
  told_ = true;
  log::warning(cat(fault, "; rows of the log wait in memory until there is room"));
}

void RunLog::require_whole() {
  if (!writes_) return;
  console_.end();
  std::string fault = rows_->fault();
  if (fault.empty() && tensorboard_) fault = tensorboard_->fault();
  if (fault.empty()) return;
  throw Error(cat("the log of this run is not whole: ", fault),
              "checkpoints and model are saved; free some space before the next run");
}

void RunLog::forget_summary() {
  if (writes_) remove_file(output_dir_ / kSummaryFile);
}

void RunLog::moved(int64_t step, int64_t total_steps) {
  if (writes_) console_.moved(step, total_steps);
}

void RunLog::step(const StepFigures& f) {
  if (!writes_) return;
  Json line = {
      {"current_steps", f.step},
      {"total_steps", f.total_steps},
      {"epoch", nine_digits(f.epoch)},
      {"loss", nine_digits(f.loss)},
      {"grad_norm", nine_digits(f.grad_norm)},
      {"lr", f.learning_rate},
      {"num_tokens", f.tokens},
      {"tokens_per_second", std::round(f.tokens_per_second * 10) / 10},
      {"tflops_per_gpu", nine_digits(f.tflops_per_rank)},
      {"peak_memory_bytes", f.peak_memory_bytes},
      {"elapsed_time", human_duration(console_.elapsed())},
      {"remaining_time", human_duration(console_.remaining(f.step, f.total_steps))}};
  add_rewards(line, f.rewards, "");
  if (f.router) {
    line["aux_loss"] = nine_digits(f.router->balance_loss);
    line["z_loss"] = nine_digits(f.router->z_loss);
    line["router_entropy"] = nine_digits(f.router->entropy);
    line["moe_load_max_over_mean"] = nine_digits(f.router->largest_load());
    line["moe_dropped_tokens"] = f.router->all_dropped();
  }
  if (f.times) line["seconds_by_phase"] = to_json(*f.times);
  add_row(line.dump());
  if (f.router) router_ = f.router;
  if (tensorboard_) to_tensorboard(f);
  console_.step(f);
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
    scalars.push_back({"train/rewards_margins", f.rewards->chosen - f.rewards->rejected});
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
  add_row(line.dump());
  console_.evaluation(step, loss, rewards);
}

void RunLog::draw() const {
  if (!writes_ || !options_.pictures) return;
  try {
    draw_pictures(output_dir_, router_);
  } catch (const Error& fault) {
    log::warning(fault.what());
  }
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
  write_file_atomically(output_dir_ / kSummaryFile, json.dump(2) + "\n");
}

}  // namespace mtrain::train
