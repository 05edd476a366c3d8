// The plan: estimates beside measured steps, advice, search.
#include "plan.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>

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
    return estimate_step(deck(batch, accumulation), model, 1, gpu_rates("H200"))
               .flops_per_gpu /
           1e12;
  };
  BOOST_TEST(std::abs(tflops(4, 1) / 545 - 1) < 0.05, tflops(4, 1));
  BOOST_TEST(std::abs(tflops(4, 8) / 564 - 1) < 0.05, tflops(4, 8));
}

BOOST_AUTO_TEST_CASE(what_does_not_fit_is_told_what_would_help) {
  const auto config = models::parse_model_config(kDense, "config.json");
  const std::string fits = plan_text(deck(4, 1), *config, 1, "h200");
  BOOST_TEST(contains(fits, "it fits"), fits);
  BOOST_TEST(contains(fits, "tokens/s"), fits);
  const std::string full = plan_text(deck(16, 1), *config, 1, "h100");
  BOOST_TEST(contains(full, "it does not fit"), full);
  BOOST_TEST(contains(full, "recompute_granularity = full"), full);
  BOOST_TEST(contains(full, "per_device_train_batch_size = 8"), full);
  BOOST_CHECK_EXCEPTION(plan_text(deck(1, 1), *config, 1, "abacus"), UserError,
                        [](const UserError& e) { return contains(e.remedy(), "h100"); });
}

BOOST_AUTO_TEST_CASE(the_search_keeps_the_batch) {
  const auto config = models::parse_model_config(kDense, "config.json");
  const std::string table = plan_search_text(deck(1, 8), *config, 8, "h100");
  BOOST_TEST(contains(table, "layouts for 8 h100 GPUs, 64 samples a step"), table);
  BOOST_TEST(contains(table, "tp1 pp1 dp8"), table);
  BOOST_TEST(contains(table, "tp2 pp1 dp4 sp"), table);
  BOOST_TEST(table.find("tp1 pp1 dp8") < table.find("tp8 pp1 dp1"), table);
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
