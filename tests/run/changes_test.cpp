// Resuming with something changed: another global batch, other keys, other data, another
// length.
#define BOOST_TEST_MODULE changes
#include <boost/test/unit_test.hpp>
#include <map>

#include "mtrain/base/text.hpp"
#include "support/golden.hpp"
#include "tiny_run.hpp"

using namespace mtrain;
using test::operator+;
using test::says;
using test::TinyRun;
using test::Words;
using test::words;
namespace fs = std::filesystem;

namespace {

/// The log's figure of each step.
std::map<int64_t, double> figures(const fs::path& folder, const char* key) {
  std::map<int64_t, double> found;
  for (const auto& line : test::read_jsonl(folder / "trainer_log.jsonl"))
    if (line.contains(key)) found[line["current_steps"].get<int64_t>()] = line[key];
  return found;
}

Words resumed(const fs::path& checkpoint, const fs::path& folder) {
  return {"resume_from_checkpoint=" + checkpoint.string(),
          "output_dir=" + folder.string()};
}

/// Two epochs of 6 steps of 4 samples, saved at step 4 and at the end.
const Words kEpochs = words("max_steps=-1 num_train_epochs=2 save_steps=4");

}  // namespace

// From 4 samples a step to 8 and back: each sample has the rate it would have had.
BOOST_AUTO_TEST_CASE(another_global_batch) {
  const TinyRun run("changes-batch");
  const Words once =
      words("max_steps=-1 save_steps=4 num_train_epochs=3 lr_scheduler_type=linear");
  run.succeed(1, once);
  const auto whole = figures(run.at("out"), "lr");
  BOOST_TEST(whole.size() == 18u);

  // At step 8 the second epoch has 16 samples left, then comes the third.
  const auto wide = run.at("wide");
  const std::string said =
      run.succeed(2, once + resumed(run.at("out") / "checkpoint-8", wide));
  BOOST_TEST(says(said, "a step has 8 samples now, 4 until this checkpoint"), said);
  BOOST_TEST(says(said, "ranks 1 -> 2"), said);
  auto rates = figures(wide, "lr");
  BOOST_TEST(rates.size() == 5u);
  for (const auto& [step, rate] : rates)
    BOOST_TEST(rate == whole.at(9 + 2 * (step - 9)), step);
  const auto lines = test::read_jsonl(wide / "trainer_log.jsonl");
  BOOST_TEST(lines.back()["total_steps"] == 13);
  BOOST_TEST(lines.back()["epoch"] == 3.0);

  // Step 12 is two thirds through the third epoch: two steps of 4 are left.
  const auto back = run.at("back");
  run.succeed(1, once + resumed(wide / "checkpoint-12", back));
  rates = figures(back, "lr");
  BOOST_TEST(rates.size() == 2u);
  BOOST_TEST(rates.at(13) == whole.at(17));
  BOOST_TEST(rates.at(14) == whole.at(18));
}

BOOST_AUTO_TEST_CASE(what_changes_training_is_refused_unless_accepted) {
  const TinyRun run("changes-keys");
  run.succeed(1, kEpochs);
  const fs::path four = run.at("out") / "checkpoint-4";
  const Words changed = words(
      "seed=43 data_seed=7 dataset=other template=qwen3 cutoff_len=64 "
      "learning_rate=1e-4 lr_scheduler_type=linear warmup_steps=3 weight_decay=0.2 "
      "adam_beta2=0.95 max_grad_norm=0.5 loss_average=sample_mean dtype=bfloat16 "
      "shuffle=false per_device_train_batch_size=2");
  const Words there = resumed(four, run.at("there"));
  const auto outcome = run.run(1, kEpochs + changed + there);
  BOOST_TEST(outcome.exit_code == 2, outcome.output);
  for (const auto& word : changed) {
    const std::string key = word.substr(0, word.find('='));
    BOOST_TEST(says(outcome.output, cat("\n  ", key, " ")), key << outcome.output);
  }
  BOOST_TEST(says(outcome.output, "learning_rate 0.001 -> 1e-04"), outcome.output);
  BOOST_TEST(says(outcome.output, "samples of a step: 4 -> 2"), outcome.output);
  BOOST_TEST(says(outcome.output, "--accept-changes"), outcome.output);
  BOOST_TEST(!fs::exists(run.at("there")));

  const Words checked = words("--check --world-size 1");
  const auto before = run.run(1, kEpochs + checked + words("learning_rate=1e-4"));
  BOOST_TEST(before.exit_code == 2, before.output);
  BOOST_TEST(says(before.output, "learning_rate 0.001 -> 1e-04"), before.output);
  BOOST_TEST(says(run.succeed(1, kEpochs + checked), "check passed"));

  // A stage is one of them, and so is another model.
  const auto stage = run.run(1, kEpochs + there + words("stage=sft"));
  BOOST_TEST(stage.exit_code == 2, stage.output);
  BOOST_TEST(says(stage.output, "stage pt -> sft"), stage.output);
  const auto model = run.at("tiny-qwen3");
  fs::copy(test::golden_model("tiny-qwen3"), model);
  auto config = nlohmann::json::parse(test::read_text(model / "config.json"));
  config["rms_norm_eps"] = 0.25;
  test::write_text(model / "config.json", config.dump());
  const auto other =
      run.run(1, kEpochs + there + Words{"model_name_or_path=" + model.string()});
  BOOST_TEST(other.exit_code == 2, other.output);
  BOOST_TEST(says(other.output, "config.json: rms_norm_eps "), other.output);

  const std::string accepted =
      run.succeed(2, kEpochs + there + words("learning_rate=1e-4 --accept-changes"));
  BOOST_TEST(says(accepted, "learning_rate 0.001 -> 1e-04"), accepted);
  BOOST_TEST(figures(run.at("there"), "lr").rbegin()->first == 8);
}

BOOST_AUTO_TEST_CASE(harmless_changes_are_told_in_a_line) {
  const TinyRun run("changes-harmless");
  run.succeed(1, kEpochs);
  const std::string said = run.succeed(
      2, kEpochs + resumed(run.at("out") / "checkpoint-4", run.at("there")) +
             words("save_total_limit=3 tensor_model_parallel_size=2 "
                   "per_device_train_batch_size=2 gradient_accumulation_steps=2 "
                   "recompute_granularity=full"));
  for (const char* change :
       {"save_total_limit null -> 3", "tensor_model_parallel_size 1 -> 2",
        "per_device_train_batch_size 4 -> 2", "recompute_granularity none -> full",
        "ranks 1 -> 2", "without changing what is trained"})
    BOOST_TEST(says(said, change), change << said);
  BOOST_TEST(figures(run.at("there"), "loss").size() == 8u);

  // Complete, and then on for another epoch.
  const Words longer = words("max_steps=-1 num_train_epochs=3 save_steps=4");
  const std::string on = run.succeed(1, longer);
  BOOST_TEST(says(on, "num_train_epochs 2 -> 3"), on);
  BOOST_TEST(figures(run.at("out"), "loss").size() == 18u);
  BOOST_TEST(!says(run.succeed(1, longer), "otherwise than until"));
}

// The tokens themselves are compared, whatever the deck says of them.
BOOST_AUTO_TEST_CASE(other_data_under_the_same_name) {
  const TinyRun run("changes-data");
  run.succeed(1, kEpochs);
  const Words there = resumed(run.at("out") / "checkpoint-4", run.at("there"));
  auto samples = test::random_samples(24, 512);
  samples[3].input_ids[2] ^= 1;
  test::write_samples(run.at("tokens.h5"), samples);
  auto outcome = run.run(1, kEpochs + there);
  BOOST_TEST(outcome.exit_code == 2, outcome.output);
  BOOST_TEST(says(outcome.output, "other tokens in as many samples"), outcome.output);

  // Grown from 24 to 36: two thirds of the first epoch are done.
  test::write_samples(run.at("tokens.h5"), test::random_samples(36, 512));
  outcome = run.run(1, kEpochs + there);
  BOOST_TEST(outcome.exit_code == 2, outcome.output);
  BOOST_TEST(says(outcome.output, "24 samples -> 36"), outcome.output);
  run.succeed(1, kEpochs + there + words("accept_changes=true"));
  const auto epochs = figures(run.at("there"), "epoch");
  BOOST_TEST(epochs.size() == 3u + 9u);
  BOOST_TEST(epochs.begin()->second == 28.0 / 36, boost::test_tools::tolerance(1e-8));
  BOOST_TEST(epochs.rbegin()->second == 2.0);
}
