// What a run shows: pictures, log files of all ranks, times over the ranks, a trace.
#define BOOST_TEST_MODULE sight
#include <boost/test/unit_test.hpp>
#include <map>
#include <set>

#include "mtrain/base/text.hpp"
#include "tiny_run.hpp"

using namespace mtrain;
using test::operator+;
using test::says;
using test::TinyRun;
using test::words;
namespace fs = std::filesystem;

namespace {

nlohmann::json json_of(const fs::path& path) {
  return nlohmann::json::parse(test::read_text(path));
}

}  // namespace

BOOST_AUTO_TEST_CASE(all_that_a_run_shows) {
  const TinyRun run("sight");
  const std::string said = run.succeed(
      4, words("max_steps=4 gradient_accumulation_steps=4 per_device_train_batch_size=1 "
               "pipeline_model_parallel_size=2 tensor_model_parallel_size=2 "
               "plot_loss=true log_per_rank=true profile_step=3"));
  const fs::path out = run.at("out");
  BOOST_TEST(says(test::read_text(out / "training_loss.svg"), "<polyline"));
  BOOST_TEST(!fs::exists(out / "moe_load.svg"));
  BOOST_TEST(says(said, "slowest is rank"), said);
  for (int rank = 0; rank < 4; ++rank) {
    const auto log = test::read_text(out / "logs" / cat("rank-0000", rank, ".log"));
    BOOST_TEST(says(log, "steps to 4: other"), log);
  }

  const auto lines = test::read_jsonl(out / "trainer_log.jsonl");
  for (const auto& times : {lines.back()["seconds_by_phase"],
                            json_of(out / "run_summary.json")["step_seconds_by_phase"]}) {
    for (const char* phase :
         {"data", "forward", "backward", "wait", "communication", "optimizer", "other"}) {
      const auto& of = times.at(phase);
      BOOST_TEST(of["min"].get<double>() <= of["mean"].get<double>());
      BOOST_TEST(of["mean"].get<double>() <= of["max"].get<double>());
      BOOST_TEST(of["max"].get<double>() > 0.0, phase);
    }
    const int slowest = times["work"]["slowest_rank"];
    BOOST_TEST((slowest >= 0 && slowest < 4));
  }

  // Every rank ran every micro-batch forward and backward once, in step 3 only.
  std::map<int, std::multiset<std::string>> passes;
  const auto trace = json_of(out / "trace-step-3.json");
  for (const auto& event : trace["traceEvents"]) {
    if (event["ph"] != "X") continue;
    BOOST_TEST(event["dur"].get<double>() >= 0.0);
    if (event["cat"] == "forward" || event["cat"] == "backward")
      passes[event["pid"].get<int>()].insert(event["name"].get<std::string>());
  }
  BOOST_REQUIRE(passes.size() == 4u);
  for (const auto& [rank, names] : passes) {
    BOOST_TEST(names.size() == 8u);
    for (int m = 0; m < 4; ++m) {
      BOOST_TEST(names.count(cat("forward of chunk 0 for micro-batch ", m)) == 1u);
      BOOST_TEST(names.count(cat("backward of chunk 0 for micro-batch ", m)) == 1u);
    }
  }
}

BOOST_AUTO_TEST_CASE(experts_and_a_second_run) {
  const TinyRun run("sight-experts");
  const test::Words keys =
      words("report_to=tensorboard plot_loss=true log_per_rank=true") +
      test::Words{"model_name_or_path=" + test::golden_model("tiny-qwen3-moe").string()};
  test::write_samples(run.at("tokens.h5"), test::random_samples(24, 300));
  run.succeed(1, keys);
  const std::string picture = test::read_text(run.at("out") / "moe_load.svg");
  BOOST_TEST(says(picture, "<title>layer 0, expert 0: "));
  // What a run shows does not keep the next one from taking its place.
  run.succeed(1, keys + words("overwrite_output_dir=true resume_from_checkpoint=none"));
  int files = 0;
  for (const auto& entry : fs::directory_iterator(run.at("out") / "runs"))
    files += entry.is_regular_file() ? 1 : 0;
  BOOST_TEST(files == 1);
}
