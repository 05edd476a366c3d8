// Times whole training steps of the real mtrain on one core, and the start of a run on
// four ranks; tests/bench/run.sh sets its figures beside those of transformers.
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <random>

#include "mtrain/base/error.hpp"
#include "mtrain/base/text.hpp"
#include "support/run_program.hpp"

namespace {

using namespace mtrain;
namespace fs = std::filesystem;
using nlohmann::json;

/// This process and those it starts stay on one core: mtrain takes a thread for each.
void stay_on_one_core() {
  cpu_set_t allowed, one;
  MT_CHECK(sched_getaffinity(0, sizeof allowed, &allowed) == 0, "sched_getaffinity");
  int core = 0;
  while (!CPU_ISSET(core, &allowed)) ++core;
  CPU_ZERO(&one);
  CPU_SET(core, &one);
  MT_CHECK(sched_setaffinity(0, sizeof one, &one) == 0, "sched_setaffinity");
}

std::vector<std::vector<int32_t>> random_rows(int64_t rows, int64_t length,
                                              int32_t vocab) {
  std::mt19937 bits(1);
  std::uniform_int_distribution<int32_t> token(0, vocab - 1);
  std::vector<std::vector<int32_t>> result(static_cast<size_t>(rows));
  for (auto& row : result) {
    for (int64_t i = 0; i <= length; ++i) row.push_back(token(bits));
  }
  return result;
}

json model_config(const json& sizes) {
  json config = {{"architectures", {"Qwen3ForCausalLM"}},
                 {"model_type", "qwen3"},
                 {"hidden_act", "silu"},
                 {"max_position_embeddings", 4096},
                 {"rms_norm_eps", 1e-6},
                 {"rope_theta", 1e6},
                 {"initializer_range", 0.02},
                 {"tie_word_embeddings", true},
                 {"torch_dtype", "float32"}};
  config.update(sizes);
  return config;
}

/// What a case adds to or changes in the deck: "keys": ["device=cuda", ...].
std::vector<std::string> keys_of(const json& c) {
  return c.value("keys", std::vector<std::string>{});
}

/// Writes model, data and deck of a case into a fresh folder.
fs::path prepare(const json& c, int64_t steps) {
  const auto dir = test::scratch("train-bench");
  const int64_t sequences = c["sequences"];
  test::write_text(dir / "config.json", model_config(c["config"]).dump(1));
  test::write_store(dir / "tokens.h5",
                    random_rows(c.value("rows", 4 * sequences), c["length"],
                                c["config"]["vocab_size"]));
  test::write_text(dir / "deck.ini",
                   cat("[model]\nmodel_config = ", (dir / "config.json").string(),
                       "\n[data]\ntokenized_path = ", (dir / "tokens.h5").string(),
                       "\n[train]\nstage = pt\nper_device_train_batch_size = ", sequences,
                       "\ngradient_accumulation_steps = ", c.value("accumulation", 1),
                       "\nmax_steps = ", steps,
                       "\n[checkpoint]\nsave_steps = 0\nsave_only_model = true\n"
                       "output_dir = ",
                       (dir / "out").string(), "\n[log]\nlogging_steps = 1\n"));
  return dir;
}

void run(const fs::path& dir, int ranks, const std::vector<std::string>& keys) {
  std::vector<std::string> arguments = {(dir / "deck.ini").string()};
  arguments.insert(arguments.end(), keys.begin(), keys.end());
  const auto outcome = test::run_program("mtrain", ranks, arguments);
  if (outcome.exit_code != 0) throw Error(outcome.output);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 ? values[half] : (values[half - 1] + values[half]) / 2;
}

/// Median time of the steps behind the warm-up, as the run's log has them.
void time_steps(const json& c) {
  const int64_t warm_up = c["warm_up"], steps = c["steps"];
  const auto dir = prepare(c, warm_up + steps);
  run(dir, 1, keys_of(c));
  std::vector<double> speeds, tflops;
  double memory = 0;
  for (const auto& line : test::read_jsonl(dir / "out" / "trainer_log.jsonl")) {
    if (line["current_steps"] <= warm_up) continue;
    speeds.push_back(line["tokens_per_second"]);
    tflops.push_back(line["tflops_per_gpu"]);
    memory = line["peak_memory_bytes"];
  }
  const double tokens = c["sequences"].get<double>() * c["length"].get<double>() *
                        c.value("accumulation", 1.0);
  const json result = {{"program", "mtrain"},
                       {"case", c["name"]},
                       {"ms_per_step", 1e3 * tokens / median(speeds)},
                       {"tokens_per_second", median(speeds)},
                       {"tflops", median(tflops)},
                       {"peak_mib", memory / 1048576}};
  std::puts(result.dump().c_str());
  fs::remove_all(dir);
}

/// From the start of mpirun to the first line of the log, which is written behind the
/// first step.
void time_start(const json& c) {
  const auto dir = prepare(c, 1);
  const auto start = fs::file_time_type::clock::now();
  run(dir, 4, {"tensor_model_parallel_size=2", "pipeline_model_parallel_size=2"});
  const std::chrono::duration<double> seconds =
      fs::last_write_time(dir / "out" / "trainer_log.jsonl") - start;
  const json result = {{"program", "mtrain"},
                       {"case", cat(c["name"].get<std::string>(), ", tp 2, pp 2")},
                       {"seconds_to_first_step", seconds.count()}};
  std::puts(result.dump().c_str());
  fs::remove_all(dir);
}

}  // namespace

/// train_bench CASES.json
int main(int argc, char** argv) try {
  if (argc != 2) throw Error("usage: train_bench CASES.json");
  const json cases = json::parse(test::read_text(argv[1]));
  const bool gpu = cases.at(0).value("gpu", false);
  if (!gpu) {
    time_start(cases.at(0));
    stay_on_one_core();
  }
  for (const auto& c : cases) time_steps(c);
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "train_bench: %s\n", error.what());
  return 1;
}
