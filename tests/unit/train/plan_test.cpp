// The plan: estimates beside measured steps, advice, search.
#include "plan.hpp"

#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "gpu_rates.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/config/parse.hpp"
#include "plan_parts.hpp"
#include "step_trace.hpp"

using namespace mtrain;
using namespace mtrain::train;

namespace {

/// Qwen3-1.7B.
const char* const kDense = R"({"model_type": "qwen3", "vocab_size": 151936,
  "hidden_size": 2048, "intermediate_size": 6144, "num_hidden_layers": 28,
  "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128,
  "rope_theta": 1e6, "tie_word_embeddings": true, "torch_dtype": "bfloat16"})";

/// Qwen3-235B-A22B.
const char* const kExperts = R"({"model_type": "qwen3_moe", "vocab_size": 151936,
  "hidden_size": 4096, "intermediate_size": 12288, "moe_intermediate_size": 1536,
  "num_hidden_layers": 94, "num_attention_heads": 64, "num_key_value_heads": 4,
  "head_dim": 128, "num_experts": 128, "num_experts_per_tok": 8, "norm_topk_prob": true,
  "decoder_sparse_step": 1, "mlp_only_layers": [], "rope_theta": 1e6,
  "tie_word_embeddings": false, "torch_dtype": "bfloat16"})";

PlanRequest on(int ranks, const std::string& gpu) {
  return {ranks,
          gpu,
          "",
          {"mtrain", "d.ini", "parallel.use_distributed_optimizer=false"},
          " --gpu " + gpu};
}

/// The key=value words below "with this it fits:".
std::vector<std::string> advised_keys(const std::string& text) {
  const std::string title = "with this it fits:\n";
  const size_t at = text.find(title);
  if (at == std::string::npos) return {};
  const size_t begin = at + title.size();
  const std::string line = text.substr(begin, text.find('\n', begin) - begin);
  return split(trim(line), ' ');
}

config::ParsedDeck parsed_deck(const config::Deck& deck) {
  return {deck, {}, {}};
}

config::Deck deck(int64_t batch, int64_t accumulation) {
  config::Deck d = config::default_deck();
  d.parallel.device = config::Device::kCuda;
  d.train.per_device_train_batch_size = batch;
  d.train.gradient_accumulation_steps = accumulation;
  d.train.recompute_granularity = config::RecomputeGranularity::kNone;
  d.data.cutoff_len = 4096;
  d.model.dtype = "bfloat16";
  return d;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(plans)

// docs/performance.md: Qwen3-1.7B on one H200, 4 x 4096 tokens, accumulating 1 and 8.
BOOST_AUTO_TEST_CASE(estimates_are_near_measured_steps) {
  const auto config = models::parse_model_config(kDense, "config.json");
  const PlannedModel model(*config);
  const auto tflops = [&](int64_t batch, int64_t accumulation) {
    return estimate_step(deck(batch, accumulation), model, 1, gpu_rates("H200", ""))
               .flops_per_gpu /
           1e12;
  };
  BOOST_TEST(std::abs(tflops(4, 1) / 545 - 1) < 0.05, tflops(4, 1));
  BOOST_TEST(std::abs(tflops(4, 8) / 564 - 1) < 0.05, tflops(4, 8));
}

BOOST_AUTO_TEST_CASE(what_does_not_fit_is_told_what_would_help) {
  const auto config = models::parse_model_config(kDense, "config.json");
  const Plan fits = make_plan(deck(4, 1), *config, on(1, "h200"));
  BOOST_TEST(fits.no_room == "");
  BOOST_TEST(contains(fits.text, "it fits"), fits.text);
  BOOST_TEST(contains(fits.text, "tokens/s"), fits.text);
  const Plan full = make_plan(deck(16, 1), *config, on(1, "h100"));
  BOOST_TEST(contains(full.no_room, "of 76 GiB usable"), full.no_room);
  BOOST_TEST(contains(full.text, "it does not fit"), full.text);
  BOOST_TEST(contains(full.text, "recompute_granularity = full"), full.text);
  BOOST_TEST(contains(full.text, "per_device_train_batch_size = 8"), full.text);
  BOOST_TEST(
      contains(full.text, "use_distributed_optimizer=false --plan-search 1 --gpu h100"),
      full.text);
  BOOST_CHECK_EXCEPTION(make_plan(deck(1, 1), *config, on(1, "abacus")), UserError,
                        [](const UserError& e) { return contains(e.remedy(), "h100"); });
}

// What the advice ends with fits, by the plan's own word.
BOOST_AUTO_TEST_CASE(combined_advice_fits) {
  struct Case {
    const char* model;
    int ranks;
    const char* gpu;
    bool can_fit;
  };
  for (const Case& c :
       {Case{kDense, 1, "a100-40g", true}, Case{kDense, 8, "4090", true},
        Case{kExperts, 64, "h200", true}, Case{kDense, 1, "h200:memory=8GiB", false}}) {
    const auto config = models::parse_model_config(c.model, "config.json");
    const Plan before = make_plan(deck(16, 4), *config, on(c.ranks, c.gpu));
    BOOST_TEST_CONTEXT(c.ranks << " " << c.gpu << "\n" << before.text) {
      BOOST_TEST(before.no_room != "");
      const auto keys = advised_keys(before.text);
      BOOST_TEST(keys.empty() != c.can_fit);
      if (keys.empty()) {
        BOOST_TEST(contains(before.text, "no combination of these keys fits"));
        continue;
      }
      config::ParsedDeck parsed = parsed_deck(deck(16, 4));
      for (const auto& key : keys) {
        const auto parts = split(key, '=');
        config::set_value(parsed, parts.at(0), parts.at(1), {});
      }
      const Plan after = make_plan(parsed.deck, *config, on(c.ranks, c.gpu));
      BOOST_TEST(after.no_room == "");
      // The samples of a step are as before.
      const auto samples = [](const std::string& plan) {
        return plan.substr(plan.find("global batch "), 17);
      };
      BOOST_TEST(samples(after.text) == samples(before.text));
    }
  }
}

BOOST_AUTO_TEST_CASE(the_search_keeps_the_batch) {
  const auto config = models::parse_model_config(kDense, "config.json");
  const std::string table = plan_search_text(deck(1, 8), *config, on(8, "h100"));
  BOOST_TEST(contains(table, "layouts for 8 h100 GPUs, 64 samples a step"), table);
  BOOST_TEST(contains(table, "tp1 pp1 dp8"), table);
  BOOST_TEST(contains(table, "tp2 pp1 dp4 sp"), table);
  BOOST_TEST(table.find("tp1 pp1 dp8") < table.find("tp8 pp1 dp1"), table);
  BOOST_TEST(contains(table, "the first of them: mtrain d.ini use_distributed"), table);
}

// Qwen3-235B-A22B has 94 layers.
BOOST_AUTO_TEST_CASE(the_search_splits_layers_unevenly) {
  const auto config = models::parse_model_config(kExperts, "config.json");
  const std::string table = plan_search_text(deck(1, 8), *config, on(64, "h100"));
  BOOST_TEST(contains(table, " pp8 "), table);
  BOOST_TEST(contains(table, "  12,12,12,12,12,12,12,10\n"), table);
}

BOOST_AUTO_TEST_CASE(gpus_are_named_described_or_listed) {
  const auto gib = [](const std::string& given, const std::string& table = "") {
    return gpu_rates(given, table).memory / (1024.0 * 1024 * 1024);
  };
  for (const char* name : {"a100", "b200", "h20", "4090", "L40S"})
    BOOST_TEST(gib(name) > 20, name);
  // As nvidia-smi has them.
  BOOST_TEST(gpu_rates("NVIDIA H100 80GB HBM3", "").name == "h100");
  BOOST_TEST(gpu_rates("NVIDIA A100-SXM4-40GB", "").name == "a100-40g");
  BOOST_TEST(gpu_rates("NVIDIA A100-SXM4-80GB", "").name == "a100");
  BOOST_TEST(gpu_rates("NVIDIA GeForce RTX 4090", "").name == "4090");
  BOOST_TEST(gib("h200:memory=81920MiB") == 80);
  BOOST_TEST(gib("mine:memory=96GB,tflops=500") == 96);
  BOOST_TEST(gpu_rates("h100:tflops=1978", "").matmul == 2 * 672e12);
  BOOST_TEST(gpu_rates("mine:memory=1,tflops=1,copy=7,per_machine=4", "").per_machine ==
             4);
  const std::string table =
      (std::filesystem::temp_directory_path() / cat("gpus-", getpid())).string();
  std::ofstream(table) << "# ours\n\nours-v2: memory=48GiB, tflops=300, link=100 # new\n"
                          "h100: memory=93GiB, tflops=900\n";
  BOOST_TEST(gib("ours-v2", table) == 48);
  BOOST_TEST(gpu_rates("ours-v2", table).link == 0.8 * 100e9);
  BOOST_TEST(gib("h100", table) == 93);
  BOOST_TEST(gib("h200", table) == 140);
  std::ofstream(table) << "ours: memory=48GiB\nother: speed=3\n";
  const auto fault = [&](const std::string& given, const std::string& file) {
    try {
      gpu_rates(given, file);
    } catch (const UserError& e) {
      return cat(e.what(), " | ", e.remedy());
    }
    return std::string();
  };
  BOOST_TEST(contains(fault("ours", table), ":2: \"speed\" is not known of a GPU"));
  std::filesystem::remove(table);
  BOOST_TEST(contains(fault("ours", table), "--gpu-table: no file"));
  BOOST_TEST(contains(fault("mine:memory=48GB", ""), "memory and speed are not known"));
  for (const char* given : {"mine:memory=-1,tflops=1", "h100:memory", ":memory=1",
                            "h100:memory=1TB", "h100:attention=3", "h100:tflops=0"})
    BOOST_TEST(contains(fault(given, ""), "NAME:memory=80GB"), given);
}

BOOST_AUTO_TEST_CASE(idle_time_of_traced_passes) {
  // An event is listed when it ends; the second wait is the backward's own.
  const std::vector<TraceEvent> events = {{"f", Doing::kForward, 1, 2},
                                          {"wait", Doing::kWait, 2, 2.5},
                                          {"wait", Doing::kWait, 2.5, 3},
                                          {"b", Doing::kBackward, 2.5, 5}};
  const PassTimes times = pass_times(events);
  BOOST_TEST(times.begin == 1.0);
  BOOST_TEST(times.end == 5.0);
  BOOST_TEST(times.busy == 3.0);
  BOOST_TEST(idle_share({times}) == 0.25);
  BOOST_TEST(idle_share({times, {0, 4, 3}}) == 0.4);
}

BOOST_AUTO_TEST_SUITE_END()
