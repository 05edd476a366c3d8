// Preference training with the real program: the same curve of losses, norms and rewards
// in every kind of layout, through a stop in the middle, and its evaluation.
#define BOOST_TEST_MODULE preference
#include <boost/test/unit_test.hpp>
#include <cmath>

#include "mtrain/base/text.hpp"
#include "mtrain/data/token_store.hpp"
#include "tiny_run.hpp"

using namespace mtrain;
using test::Words;
using test::operator+;
namespace fs = std::filesystem;

namespace {

// Relative, in fp32: layouts add the same numbers in another order.
constexpr double kTolerance = 2e-5;

/// Writes `pairs` pairs of 5 tokens of prompt and answers of different lengths.
void write_pairs(const fs::path& path, int pairs) {
  data::TokenStoreWriter writer(path.string(), {data::Stage::kDpo, ""});
  const auto ids = test::random_samples(2 * pairs, 512);
  for (size_t i = 0; i < ids.size(); ++i) {
    data::Sample sample = ids[i];
    for (size_t t = 0; t < 5; ++t) {
      sample.input_ids[t] = ids[i - i % 2].input_ids[t];
      sample.labels[t] = data::kIgnoreLabel;
    }
    writer.append(sample);
  }
  writer.finish();
}

/// A run of 4 steps of 4 pairs, evaluated on 3: fewer than a step.
class PairRun : public test::TinyRun {
 public:
  explicit PairRun(const std::string& name) : TinyRun(name) {
    fs::remove(at("tokens.h5"));
    write_pairs(at("tokens.h5"), 12);
    write_pairs(at("tokens.eval.h5"), 3);
  }

  /// The log of a run on `ranks` ranks with `keys`, into a folder of its own.
  std::vector<nlohmann::json> log(int ranks, const std::string& keys) const {
    const std::string out = at(cat("out", count_++)).string();
    succeed(ranks,
            Words{"output_dir=" + out, "stage=dpo", "max_steps=4"} + test::words(keys));
    return test::read_jsonl(fs::path(out) / "trainer_log.jsonl");
  }

 private:
  mutable int count_ = 0;
};

/// Every figure that `expected` has. Which of two equal rewards is larger is a matter of
/// the last bit: before the first update.
void check_equal(const std::vector<nlohmann::json>& found,
                 const std::vector<nlohmann::json>& expected, const std::string& where) {
  BOOST_REQUIRE(found.size() == expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    for (const auto& [key, value] : expected[i].items()) {
      const bool figure = key == "grad_norm" || key.ends_with("loss") ||
                          key.find("rewards_") != key.npos || key == "num_tokens";
      const bool draw = key.ends_with("accuracies") && value == 0.0;
      if (!figure || draw) continue;
      const double a = value, b = found[i].at(key);
      BOOST_CHECK_MESSAGE(
          std::abs(a - b) <= kTolerance * std::max(1.0, std::abs(a)),
          where << ", line " << i << ": " << key << " is " << b << ", not " << a);
    }
  }
}

struct Layout {
  int ranks;
  const char* keys;
};

constexpr Layout kLayouts[] = {
    {1,
     "per_device_train_batch_size=2 gradient_accumulation_steps=2 "
     "recompute_granularity=full"},
    {2, "tensor_model_parallel_size=2 sequence_parallel=true"},
    {2,
     "pipeline_model_parallel_size=2 per_device_train_batch_size=1 "
     "gradient_accumulation_steps=4"},
    {2,
     "per_device_train_batch_size=1 gradient_accumulation_steps=2 "
     "use_distributed_optimizer=true overlap_grad_reduce=true "
     "overlap_param_gather=true"},
    {4,
     "tensor_model_parallel_size=2 pipeline_model_parallel_size=2 "
     "virtual_pipeline_model_parallel_size=2 per_device_train_batch_size=2 "
     "gradient_accumulation_steps=2"}};

// One pair a micro-batch in each, as the balance of experts is that of micro-batches.
constexpr Layout kExpertLayouts[] = {
    {2,
     "gradient_accumulation_steps=2 expert_model_parallel_size=2 "
     "use_distributed_optimizer=true"},
    {2,
     "gradient_accumulation_steps=4 pipeline_model_parallel_size=2 "
     "recompute_granularity=full"},
    {2,
     "gradient_accumulation_steps=4 tensor_model_parallel_size=2 "
     "expert_tensor_parallel_size=2"},
    {4,
     "gradient_accumulation_steps=2 pipeline_model_parallel_size=2 "
     "expert_model_parallel_size=2"}};

}  // namespace

BOOST_AUTO_TEST_CASE(every_layout_has_the_same_curve) {
  const PairRun run("preference-layouts");
  const std::string keys = "do_eval=true eval_steps=2 pref_ftx=0.1 ";
  const auto expected = run.log(1, keys);
  // Evaluations before the first step, after two and at the end.
  BOOST_REQUIRE(expected.size() == 7u);
  const double half = std::log(2.0);
  // The policy is the reference still: no rewards, and the loss is that of a coin.
  BOOST_TEST(std::abs(expected[1]["rewards_margins"].get<double>()) < 1e-6);
  BOOST_TEST(expected[1]["loss"].get<double>() > half);
  BOOST_TEST(expected[5]["rewards_margins"].get<double>() > 0.01);
  BOOST_TEST(expected.back().contains("eval_rewards_accuracies"));
  BOOST_TEST(!expected.back().contains("eval_perplexity"));
  for (const Layout& layout : kLayouts)
    check_equal(run.log(layout.ranks, keys + layout.keys), expected, layout.keys);
}

// Both answers of a pair count for the balance, in the trained model only.
BOOST_AUTO_TEST_CASE(experts_have_the_same_curve_in_every_layout) {
  const PairRun run("preference-experts");
  const std::string model =
      cat("model_name_or_path=", test::golden_model("tiny-qwen3-moe").string(),
          " dtype=float32 shuffle=false do_eval=true eval_steps=2 ");
  const std::string pair = "per_device_train_batch_size=1 ";
  const std::string keys =
      model + pair + "moe_aux_loss_coeff=0.01 moe_z_loss_coeff=0.001 ";
  const std::string alone = "gradient_accumulation_steps=4 ";
  const auto expected = run.log(1, keys + alone);
  BOOST_REQUIRE(expected.size() == 7u);
  for (const Layout& layout : kExpertLayouts)
    check_equal(run.log(layout.ranks, keys + layout.keys), expected, layout.keys);
  const auto unbalanced = run.log(1, model + pair + alone);
  BOOST_TEST(unbalanced[1]["loss"] == expected[1]["loss"]);
  BOOST_TEST(unbalanced[1]["aux_loss"] == expected[1]["aux_loss"]);
  BOOST_TEST(unbalanced[1]["grad_norm"] != expected[1]["grad_norm"]);
  // The same answers as samples of their own, two a micro-batch.
  const data::TokenStoreReader pairs(run.at("tokens.h5").string());
  std::vector<data::Sample> answers;
  for (int64_t i = 0; i < pairs.num_samples(); ++i) answers.push_back(pairs.read(i));
  test::write_samples(run.at("answers.h5"), answers);
  const std::string out = run.at("answers").string();
  run.succeed(1, {"model_name_or_path=" + test::golden_model("tiny-qwen3-moe").string(),
                  "dtype=float32", "shuffle=false", "per_device_train_batch_size=2",
                  "gradient_accumulation_steps=4", "output_dir=" + out,
                  "tokenized_path=" + run.at("answers.h5").string()});
  const auto single = test::read_jsonl(fs::path(out) / "trainer_log.jsonl");
  for (const char* figure : {"aux_loss", "z_loss", "router_entropy"}) {
    const double a = single[0][figure], b = expected[1][figure];
    BOOST_TEST(std::abs(b / a - 1) < 1e-6, figure);
  }
}

BOOST_AUTO_TEST_CASE(losses_without_a_reference) {
  const PairRun run("preference-free");
  for (const std::string loss : {"pref_loss=orpo ", "pref_loss=simpo "}) {
    const auto expected = run.log(1, loss);
    BOOST_TEST(expected[0]["rewards_chosen"].get<double>() < 0);
    check_equal(run.log(2, loss + "pipeline_model_parallel_size=2"), expected, loss);
  }
}

// The reference of the second half is still the model before the first.
BOOST_AUTO_TEST_CASE(a_resumed_run_goes_on) {
  const PairRun run("preference-resume");
  const auto expected = run.log(1, "save_steps=2 logging_steps=3");
  const std::string saved =
      "resume_from_checkpoint=" + (run.at("out0") / "checkpoint-2").string();
  check_equal(run.log(1, "logging_steps=3 " + saved), expected, "resumed");
}

// mprep writes them in one layout, runs read them in any: the figures of a resident
// reference.
BOOST_AUTO_TEST_CASE(cached_log_probabilities) {
  const PairRun run("preference-cache");
  const std::string keys = "do_eval=true eval_steps=2 ";
  const auto expected = run.log(1, keys);
  const auto prepare = [&](int ranks, const std::string& name, const Words& more) {
    const std::string cache = "ref_log_probs=" + run.at(name).string();
    const auto outcome = test::run_program(
        "mprep", ranks, Words{run.at("deck.ini").string(), "stage=dpo", cache} + more);
    BOOST_REQUIRE_MESSAGE(outcome.exit_code == 0, outcome.output);
    return outcome.output;
  };
  prepare(1, "one.safetensors", {});
  BOOST_TEST(prepare(1, "one.safetensors", {}).find("is up to date") !=
             std::string::npos);
  prepare(4, "four.safetensors",
          {"tensor_model_parallel_size=2", "per_device_train_batch_size=1"});
  for (const std::string name : {"one.safetensors", "four.safetensors"}) {
    const std::string cache = keys + "ref_log_probs=" + run.at(name).string();
    check_equal(run.log(1, cache), expected, name);
    check_equal(run.log(2, cache + " pipeline_model_parallel_size=2"), expected, name);
  }
  // Each pair keeps its reference where micro-batches are shared by cost.
  const std::string balanced =
      "per_device_train_batch_size=1 gradient_accumulation_steps=2 "
      "balance_micro_batches=true ref_log_probs=";
  check_equal(run.log(2, keys + balanced + run.at("one.safetensors").string()), expected,
              "balanced");
  const auto refuse = [&](const Words& more, const std::string& text) {
    const auto outcome = run.run(1, Words{"stage=dpo"} + more);
    BOOST_TEST(outcome.exit_code == 2, outcome.output);
    BOOST_TEST(outcome.errors.find(text) != outcome.errors.npos, outcome.errors);
  };
  const std::string cache = "ref_log_probs=" + run.at("one.safetensors").string();
  const std::string other = "made for another model or other data";
  refuse({"ref_log_probs=nowhere.safetensors"}, "no file nowhere.safetensors");
  refuse({cache, "ref_model=" + test::golden_model("tiny-qwen3-policy").string()}, other);
  write_pairs(run.at("tokens.h5"), 11);
  refuse({cache}, other);
}

BOOST_AUTO_TEST_CASE(another_reference_model) {
  const PairRun run("preference-model");
  const std::string other =
      "ref_model=" + test::golden_model("tiny-qwen3-policy").string();
  const auto log = run.log(1, other);
  BOOST_TEST(std::abs(log[0]["rewards_chosen"].get<double>()) > 0.01);
  const auto misfit =
      run.run(1, {"stage=dpo",
                  "ref_model=" + test::golden_model("tiny-qwen3-untied-bf16").string()});
  BOOST_TEST(misfit.exit_code == 2);
  BOOST_TEST(misfit.errors.find("tiny-qwen3-untied-bf16") != misfit.errors.npos);
}

BOOST_AUTO_TEST_CASE(stores_that_are_no_pairs) {
  const PairRun run("preference-store");
  data::TokenStoreWriter short_answer(run.at("short.h5").string(),
                                      {data::Stage::kDpo, ""});
  short_answer.append({{1, 2, 3}, {1, 2, 3}});
  short_answer.append({{1}, {1}});
  short_answer.finish();
  data::TokenStoreWriter odd(run.at("odd.h5").string(), {data::Stage::kDpo, ""});
  odd.append({{1, 2, 3}, {1, 2, 3}});
  odd.finish();
  for (const auto& [name, text] : std::vector<std::pair<std::string, std::string>>{
           {"short.h5", "the rejected sample of pair 0 has fewer than two tokens"},
           {"odd.h5", "1 samples do not make pairs"}}) {
    const auto outcome =
        run.run(1, {"stage=dpo", "tokenized_path=" + run.at(name).string()});
    BOOST_TEST(outcome.exit_code == 2);
    BOOST_TEST(outcome.errors.find(text) != outcome.errors.npos, outcome.errors);
  }
}
