// Runs that are asked to stop, that meet numbers which are not finite, and that find a
// damaged checkpoint when they start again.
#define BOOST_TEST_MODULE guard
#include <ATen/ATen.h>
#include <signal.h>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <fstream>
#include <thread>

#include "mtrain/base/text.hpp"
#include "mtrain/checkpoint/safetensors.hpp"
#include "mtrain/checkpoint/training_checkpoint.hpp"
#include "support/golden.hpp"
#include "support/processes.hpp"
#include "tiny_run.hpp"

using namespace mtrain;
using test::operator+;
using test::Outcome;
using test::says;
using test::TinyRun;
using test::Words;
using test::words;
namespace fs = std::filesystem;

namespace {

std::string weights(const TinyRun& run) {
  return test::read_text(run.at("out") / "model.safetensors");
}

/// Starts the run, sends the signal to the program after some steps.
Outcome interrupted(const TinyRun& run, int ranks, const Words& keys, int signal,
                    const std::string& program) {
  Outcome outcome;
  std::thread job([&] { outcome = run.run(ranks, keys); });
  test::await_lines(run.at("out") / "trainer_log.jsonl", 3);
  kill(test::await_process(program, run.at("deck.ini").string(), ""), signal);
  job.join();
  return outcome;
}

void flip_byte(const fs::path& path, double where) {
  std::string bytes = test::read_text(path);
  bytes[static_cast<size_t>(where * static_cast<double>(bytes.size()))] ^= 4;
  test::write_text(path, bytes);
}

/// The model with not-a-number in the embedding of one token.
fs::path poisoned_model(const TinyRun& run, const std::string& model, int64_t token) {
  const fs::path from = test::golden_model(model);
  const auto source = checkpoint::open_safetensors(from);
  auto writer = checkpoint::SafetensorsWriter::create(run.at("poisoned"),
                                                      source->tensors(), 1 << 30);
  for (const auto& info : source->tensors()) {
    const at::Tensor data = test::whole(*source, info.name).clone();
    if (info.name == "model.embed_tokens.weight") data[token].fill_(std::nan(""));
    writer.write(
        {info.name, info.shape, parallel::Shape(info.shape.size(), 0), info.shape}, data);
  }
  writer.finish();
  fs::copy_file(from / "config.json", run.at("poisoned") / "config.json");
  return run.at("poisoned");
}

}  // namespace

BOOST_AUTO_TEST_CASE(signals_stop_at_a_step_boundary) {
  const TinyRun run("guard-stop");
  const Words keys = words("max_steps=200 use_distributed_optimizer=true");
  run.succeed(2, keys + words("output_dir=" + run.at("whole").string()));
  const std::string expected = test::read_text(run.at("whole") / "model.safetensors");
  // SIGUSR1 through mpirun, which passes it on; SIGTERM to a single rank.
  const std::vector<std::pair<int, std::string>> ways = {
      {SIGUSR1, "mpirun"}, {SIGTERM, MTRAIN_BINARY_DIR "/bin/mtrain"}};
  for (const auto& [signal, program] : ways) {
    fs::remove_all(run.at("out"));
    const Outcome outcome = interrupted(run, 2, keys, signal, program);
    BOOST_REQUIRE_MESSAGE(outcome.exit_code == 85, outcome.output);
    BOOST_TEST(says(outcome.output, "stopped by request after step"), outcome.output);
    const auto summary =
        nlohmann::json::parse(test::read_text(run.at("out") / "run_summary.json"));
    BOOST_TEST(summary["result"] == "stopped");
    BOOST_TEST(summary["steps"] < 200);
    const auto newest = checkpoint::newest_checkpoint(run.at("out"));
    BOOST_REQUIRE(newest.has_value());
    BOOST_TEST(checkpoint::CheckpointReader(*newest).state().step == summary["steps"]);
    const std::string again = run.succeed(2, keys);
    BOOST_TEST(says(again, "resumed from " + newest->string()), again);
    BOOST_TEST((weights(run) == expected));
  }
}

// Far more steps than fit in; a process with too little time for any does one.
BOOST_AUTO_TEST_CASE(max_time_stops_with_a_checkpoint) {
  const TinyRun run("guard-time");
  const Words keys = words("tensor_model_parallel_size=2 lr_scheduler_type=constant");
  int64_t steps = 0;
  for (int start = 1; start <= 2; ++start) {
    const Outcome outcome =
        run.run(2, keys + words("max_steps=100000 max_time=00:00:00:01"));
    BOOST_REQUIRE_MESSAGE(outcome.exit_code == 85, outcome.output);
    BOOST_TEST(says(outcome.output, "as max_time is up, after step"), outcome.output);
    const auto newest = checkpoint::newest_checkpoint(run.at("out"));
    const int64_t now = checkpoint::CheckpointReader(newest.value()).state().step;
    BOOST_TEST(now > steps);
    steps = now;
  }
  const Words end = words(cat("max_steps=", steps + 2));
  run.succeed(2, keys + end);
  run.succeed(2, keys + end + words("output_dir=" + run.at("whole").string()));
  BOOST_TEST((weights(run) == test::read_text(run.at("whole") / "model.safetensors")));
}

namespace {

struct Case {
  std::string model;
  int ranks;
  std::string keys;
};

// Experts split over ranks that hold the rest alike, and those ranks' parts of a token.
const Case kDense = {"tiny-qwen3-untied-bf16", 1, ""};
const Case kExperts = {"tiny-qwen3-moe", 4,
                       " per_device_train_batch_size=2 tensor_model_parallel_size=2 "
                       "sequence_parallel=true expert_model_parallel_size=2 "
                       "use_distributed_optimizer=true"};

// A sample that holds the poisoned token spoils its step and no other.
void check_not_finite(const Case& c) {
  const TinyRun run("guard-nan-" + c.model);
  constexpr int kPoison = 100, kStep = 3, kSteps = 5;
  std::vector<std::vector<int32_t>> rows;
  for (int r = 0; r < 4 * kSteps; ++r) {
    rows.emplace_back();
    for (int i = 0; i < 10; ++i) rows.back().push_back((r + 3 * i) % kPoison);
  }
  rows[4 * (kStep - 1) + 1][2] = kPoison;
  fs::remove(run.at("tokens.h5"));
  test::write_store(run.at("tokens.h5"), rows);
  const Words keys = words(cat(
      "shuffle=false save_steps=1 dtype=float32 max_steps=", kSteps,
      " model_name_or_path=", poisoned_model(run, c.model, kPoison).string(), c.keys));
  const Outcome stopped = run.run(c.ranks, keys);
  BOOST_TEST(stopped.exit_code == 1, stopped.output);
  BOOST_TEST(says(stopped.output, "step 3: loss nan"), stopped.output);
  BOOST_TEST(says(stopped.output, "gradients not finite from rank "), stopped.output);
  BOOST_TEST(checkpoint::list_checkpoints(run.at("out")).size() == 2u);

  // The same command with skip goes on from there; the step leaves no trace in the state.
  const Outcome skipped = run.run(c.ranks, keys + words("on_nonfinite_step=skip"));
  BOOST_TEST(skipped.exit_code == 0, skipped.output);
  BOOST_TEST(says(skipped.output, "step 3: loss nan"), skipped.output);
  BOOST_TEST(says(skipped.output, "not applied (1 so far)"), skipped.output);
  const checkpoint::CheckpointReader before(run.at("out") / "checkpoint-2");
  const checkpoint::CheckpointReader after(run.at("out") / "checkpoint-3");
  BOOST_TEST(after.state().updates == before.state().updates);
  BOOST_TEST(after.state().samples_consumed == 12);
  for (const auto& group : before.groups())
    for (const auto& info : before.group(group).tensors()) {
      const at::Tensor x = test::whole(before.group(group), info.name);
      const at::Tensor y = test::whole(after.group(group), info.name);
      BOOST_TEST(at::equal(x.view(at::kInt), y.view(at::kInt)), group << info.name);
    }
  const checkpoint::CheckpointReader last(run.at("out") / cat("checkpoint-", kSteps));
  BOOST_TEST(last.state().updates == kSteps - 1);
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_step_that_is_not_finite) {
  check_not_finite(kDense);
  check_not_finite(kExperts);
}

BOOST_AUTO_TEST_CASE(numbers_that_stay_bad_end_a_run_that_skips) {
  const TinyRun run("guard-diverged");
  const Outcome outcome =
      run.run(2, words("max_steps=9 learning_rate=1e30 on_nonfinite_step=skip "
                       "max_nonfinite_steps=2 warmup_steps=0 lr_scheduler_type=constant "
                       "max_grad_norm=0 tensor_model_parallel_size=2"));
  BOOST_TEST(outcome.exit_code == 1, outcome.output);
  BOOST_TEST(says(outcome.output, "the 2. such step in a row"), outcome.output);
  BOOST_TEST(says(outcome.output, "rank 1: "), outcome.output);
}

BOOST_AUTO_TEST_CASE(damaged_checkpoints_are_passed_over) {
  const TinyRun run("guard-damage");
  const Words keys = words(
      "max_steps=6 save_steps=2 tensor_model_parallel_size=2 save_total_limit=2 "
      "check_weight_hash_across_dp_replicas_interval=1");
  run.succeed(4, keys);
  const std::string expected = weights(run);
  const fs::path newest = run.at("out") / "checkpoint-6";
  flip_byte(newest / "rank-00002.h5", 0.8);
  const Outcome named =
      run.run(4, keys + words("resume_from_checkpoint=" + newest.string()));
  BOOST_TEST(named.exit_code == 2, named.output);
  BOOST_TEST(says(named.output, "rank-00002.h5: "), named.output);
  BOOST_TEST(says(named.output, "does not match its checksum"), named.output);

  const std::string said = run.succeed(4, keys);
  BOOST_TEST(says(said, "checkpoint-6 is damaged and is passed over: "), said);
  BOOST_TEST(says(said, "rank-00002.h5: "), said);
  BOOST_TEST(says(said, "resuming from checkpoint-4"), said);
  BOOST_TEST((weights(run) == expected));
  BOOST_TEST(checkpoint::CheckpointReader(newest).verify(0, 1).empty());  // saved anew

  for (const auto& folder : checkpoint::list_checkpoints(run.at("out")))
    fs::remove(folder / "rank-00001.h5");
  const Outcome none = run.run(4, keys);
  BOOST_TEST(none.exit_code == 2, none.output);
  BOOST_TEST(says(none.output, "is sound"), none.output);
  BOOST_TEST(says(none.output, "rank-00001.h5"), none.output);
  BOOST_TEST(!says(none.output, "step 1/"), none.output);
}

namespace {

// Stopped and resumed three times, each time in another folder.
void check_chain(const Case& c) {
  const TinyRun run("guard-chain-" + c.model);
  const Words keys =
      words(cat("max_steps=20 save_steps=5 logging_steps=1 model_name_or_path=",
                test::golden_model(c.model).string(), c.keys));
  run.succeed(c.ranks, keys);
  fs::path from = run.at("out");
  for (const int step : {5, 10, 15}) {
    const fs::path to = run.at(cat("part-", step));
    const auto checkpoint = from / cat("checkpoint-", step);
    run.succeed(c.ranks, keys + Words{"output_dir=" + to.string(),
                                      "resume_from_checkpoint=" + checkpoint.string()});
    from = to;
  }
  BOOST_TEST((test::read_text(from / "model.safetensors") == weights(run)));
  const checkpoint::CheckpointReader a(run.at("out") / "checkpoint-20");
  const checkpoint::CheckpointReader b(from / "checkpoint-20");
  for (const auto& group : a.groups())
    for (const auto& info : a.group(group).tensors())
      BOOST_TEST(at::equal(test::whole(a.group(group), info.name),
                           test::whole(b.group(group), info.name)),
                 group << info.name);
}

}  // namespace

BOOST_AUTO_TEST_CASE(twenty_steps_in_four_parts) {
  check_chain(
      {"tiny-qwen3", 2, " use_distributed_optimizer=true per_device_train_batch_size=2"});
  check_chain(kExperts);
}
