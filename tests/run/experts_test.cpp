// The real programs on a model with experts: folders in Hugging Face format come back
// unchanged in any layout, and a checkpoint of one layout goes on in another.
#define BOOST_TEST_MODULE experts
#include <ATen/ATen.h>

#include <boost/test/unit_test.hpp>

#include "mtrain/base/text.hpp"
#include "support/golden.hpp"
#include "support/run_program.hpp"

using namespace mtrain;
namespace fs = std::filesystem;

namespace {

const char* const kModels[] = {"tiny-qwen3-moe", "tiny-qwen3-moe-mixed"};

fs::path model_dir(const std::string& model) {
  return test::golden_dir() / "models" / model;
}

/// 64 rows of 9 tokens.
void write_tokens(const fs::path& store) {
  std::vector<std::vector<int32_t>> rows(64);
  for (size_t r = 0; r < rows.size(); ++r)
    for (size_t i = 0; i < 9; ++i)
      rows[r].push_back(static_cast<int32_t>((r * r + 7 * i * (r + 1)) % 300));
  test::write_store(store, rows);
}

/// Trains `model` on the tokens of `dir` into dir/out.
void train(const fs::path& dir, const std::string& model, const std::string& out,
           int ranks, const std::string& keys) {
  test::write_text(dir / "deck.ini",
                   cat("[model]\nmodel_name_or_path = ", model_dir(model).string(),
                       "\n[data]\ntokenized_path = ", (dir / "tokens.h5").string(),
                       "\n[train]\nstage = pt\nper_device_train_batch_size = 1\n"
                       "[optimizer]\nlearning_rate = 1e-3\n"
                       "lr_scheduler_type = constant\n[log]\nlogging_steps = 1\n"
                       "[parallel]\ndevice = cpu\n"));
  std::vector<std::string> words = {(dir / "deck.ini").string(),
                                    cat("output_dir=", (dir / out).string())};
  for (const auto& word : split(keys, ' ')) words.push_back(word);
  const auto outcome = test::run_program("mtrain", ranks, words);
  BOOST_REQUIRE_MESSAGE(outcome.exit_code == 0, keys << ":\n" << outcome.output);
}

std::vector<double> losses(const fs::path& out, int after) {
  std::vector<double> result;
  for (const auto& line : test::read_jsonl(out / "trainer_log.jsonl"))
    if (line["current_steps"] > after) result.push_back(line["loss"]);
  return result;
}

}  // namespace

BOOST_AUTO_TEST_CASE(weights_come_back_byte_for_byte) {
  for (const char* model : kModels) {
    const auto dir = test::scratch(cat("experts-", model));
    write_tokens(dir / "tokens.h5");
    const std::string original = test::read_text(model_dir(model) / "model.safetensors");
    const std::string none = "max_steps=1 learning_rate=0 dtype=bfloat16 ";
    train(dir, model, "ep1", 1, none + "gradient_accumulation_steps=4");
    train(dir, model, "ep4", 4,
          none +
              "gradient_accumulation_steps=1 expert_model_parallel_size=4 "
              "use_distributed_optimizer=true");
    for (const char* out : {"ep1", "ep4"}) {
      const std::string made = test::read_text(dir / out / "model.safetensors");
      BOOST_TEST((made == original), model << " " << out);
    }
    const auto made = test::run_program(
        "mconvert", 1,
        {"from-hf", model_dir(model).string(), (dir / "checkpoint").string()});
    BOOST_REQUIRE(made.exit_code == 0);
    const auto back = test::run_program(
        "mconvert", 2, {"to-hf", (dir / "checkpoint").string(), (dir / "hf").string()});
    BOOST_REQUIRE(back.exit_code == 0);
    BOOST_TEST((test::read_text(dir / "hf/model.safetensors") == original), model);
  }
}

BOOST_AUTO_TEST_CASE(a_checkpoint_goes_on_in_another_layout) {
  const auto dir = test::scratch("experts-resume");
  write_tokens(dir / "tokens.h5");
  const std::string common = "max_steps=6 dtype=float32 save_steps=3 ";
  train(dir, kModels[0], "first", 4,
        common +
            "gradient_accumulation_steps=1 expert_model_parallel_size=4 "
            "use_distributed_optimizer=true");
  const auto expected = losses(dir / "first", 3);
  const std::string from =
      cat("resume_from_checkpoint=", (dir / "first/checkpoint-3").string(), " ");
  const char* const layouts[] = {
      "gradient_accumulation_steps=4",
      "gradient_accumulation_steps=4 tensor_model_parallel_size=2 "
      "expert_tensor_parallel_size=2",
      "gradient_accumulation_steps=2 pipeline_model_parallel_size=2 "
      "expert_model_parallel_size=2"};
  const int ranks[] = {1, 2, 4};
  for (size_t i = 0; i < std::size(layouts); ++i) {
    const std::string out = cat("on-", i);
    train(dir, kModels[0], out, ranks[i], common + from + layouts[i]);
    const auto found = losses(dir / out, 3);
    BOOST_REQUIRE(found.size() == expected.size());
    for (size_t s = 0; s < found.size(); ++s)
      BOOST_TEST(std::abs(found[s] / expected[s] - 1) < 2e-5, layouts[i]);
  }
}

// Passes in turns: the same figures and weights to the last bit.
BOOST_AUTO_TEST_CASE(overlap_of_the_exchange_changes_nothing) {
  const auto dir = test::scratch("experts-overlap");
  write_tokens(dir / "tokens.h5");
  struct Layout {
    int ranks;
    const char* keys;
  };
  const Layout layouts[] = {
      {2,
       "gradient_accumulation_steps=4 use_distributed_optimizer=true "
       "overlap_grad_reduce=true overlap_param_gather=true"},
      {2,
       "gradient_accumulation_steps=3 moe_token_dispatcher_type=allgather "
       "recompute_granularity=full"},
      {4, "gradient_accumulation_steps=5 pipeline_model_parallel_size=2"},
      {4,
       "gradient_accumulation_steps=4 pipeline_model_parallel_size=2 "
       "virtual_pipeline_model_parallel_size=2"}};
  for (const auto& [ranks, keys] : layouts) {
    const std::string common =
        cat("max_steps=20 deterministic=true expert_model_parallel_size=2 ", keys,
            " overlap_moe_expert_parallel_comm=");
    train(dir, kModels[0], "without", ranks, common + "false");
    train(dir, kModels[0], "with", ranks, common + "true");
    BOOST_TEST(losses(dir / "without", 0).size() == 20u);
    BOOST_TEST((losses(dir / "with", 0) == losses(dir / "without", 0)), keys);
    BOOST_TEST((test::read_text(dir / "with/model.safetensors") ==
                test::read_text(dir / "without/model.safetensors")),
               keys);
    for (const char* out : {"with", "without"}) fs::remove_all(dir / out);
  }
}

// Each rank's micro-batch has its own limit, so that of two data-parallel ranks does not
// change when they share the experts.
BOOST_AUTO_TEST_CASE(full_experts_drop_tokens) {
  const auto dir = test::scratch("experts-capacity");
  write_tokens(dir / "tokens.h5");
  const std::string common =
      "max_steps=4 gradient_accumulation_steps=2 dtype=float32 "
      "moe_expert_capacity_factor=0.75 ";
  const char* const layouts[] = {
      "expert_model_parallel_size=1", "expert_model_parallel_size=2",
      "expert_model_parallel_size=2 moe_token_dispatcher_type=allgather "
      "recompute_granularity=full",
      "expert_model_parallel_size=2 overlap_moe_expert_parallel_comm=true"};
  std::vector<double> first, first_dropped;
  for (const char* layout : layouts) {
    train(dir, kModels[1], "out", 2, common + layout);
    const auto found = losses(dir / "out", 0);
    std::vector<double> dropped;
    for (const auto& line : test::read_jsonl(dir / "out/trainer_log.jsonl"))
      dropped.push_back(line["moe_dropped_tokens"]);
    if (first.empty()) first = found, first_dropped = dropped;
    BOOST_TEST(dropped == first_dropped, boost::test_tools::per_element());
    for (size_t s = 0; s < first.size(); ++s)
      BOOST_TEST(std::abs(found[s] / first[s] - 1) < 2e-5, layout);
    // 2 ranks, 2 micro-batches of 8 tokens, 2 layers; at most every pair of each.
    for (const double pairs : dropped)
      BOOST_TEST((pairs > 0 && pairs < 2 * 2 * 8 * 2 * 16));
    fs::remove_all(dir / "out");
  }
}

BOOST_AUTO_TEST_CASE(the_log_tells_the_load) {
  const auto dir = test::scratch("experts-log");
  write_tokens(dir / "tokens.h5");
  train(dir, kModels[1], "out", 2,
        "max_steps=2 gradient_accumulation_steps=1 expert_model_parallel_size=2");
  const auto log = test::read_jsonl(dir / "out/trainer_log.jsonl");
  for (const auto& line : log) {
    BOOST_TEST(line["moe_load_max_over_mean"].get<double>() >= 1.0);
    BOOST_TEST(line["aux_loss"].get<double>() > 0.0);
    BOOST_TEST(line["z_loss"].get<double>() > 0.0);
    BOOST_TEST(line["moe_dropped_tokens"].get<double>() == 0.0);
    BOOST_TEST(line["router_entropy"].get<double>() < std::log(16.0) + 1e-6);
  }
  const auto summary =
      nlohmann::json::parse(test::read_text(dir / "out/run_summary.json"));
  BOOST_TEST(summary["moe_load_max_over_mean_per_layer"].size() == 2u);
  BOOST_TEST(summary["moe_dropped_tokens_per_layer"].size() == 2u);
}

// Fewer samples than a step takes, so that some ranks have none.
BOOST_AUTO_TEST_CASE(evaluation_is_the_same_in_every_layout) {
  const auto dir = test::scratch("experts-evaluation");
  write_tokens(dir / "tokens.h5");
  test::write_store(dir / "tokens.eval.h5",
                    {{5, 4, 3, 2, 1}, {1, 2, 3}, {7, 8, 9, 7, 8}});
  const std::string common = "max_steps=2 dtype=float32 do_eval=true eval_steps=1 ";
  const auto evaluations = [&](const std::string& out, int ranks,
                               const std::string& keys) {
    train(dir, kModels[1], out, ranks, common + keys);
    std::vector<double> found;
    for (const auto& line : test::read_jsonl(dir / out / "trainer_log.jsonl"))
      if (line.contains("eval_loss")) found.push_back(line["eval_loss"]);
    return found;
  };
  const auto expected = evaluations("one", 1, "gradient_accumulation_steps=4");
  BOOST_REQUIRE(expected.size() == 3u);
  const char* const layouts[] = {
      "gradient_accumulation_steps=1 expert_model_parallel_size=4",
      "gradient_accumulation_steps=2 pipeline_model_parallel_size=2 "
      "expert_model_parallel_size=2"};
  for (const char* layout : layouts) {
    const auto found = evaluations("four", 4, layout);
    fs::remove_all(dir / "four");
    BOOST_REQUIRE(found.size() == expected.size());
    for (size_t i = 0; i < found.size(); ++i)
      BOOST_TEST(std::abs(found[i] / expected[i] - 1) < 2e-5, layout);
  }
}
