// From deck to layout: what a layout is called, what it cannot do, which dtype weights
// have.
#include "layout.hpp"

#include <boost/test/unit_test.hpp>

#include "mtrain/base/error.hpp"
#include "plan.hpp"

using namespace mtrain;
using namespace mtrain::train;

namespace {

const char* const kConfig =
    R"({"model_type": "qwen3", "vocab_size": 100, "hidden_size": 64,
  "intermediate_size": 160, "num_hidden_layers": 6, "num_attention_heads": 4,
  "num_key_value_heads": 2, "head_dim": 16, "rope_theta": 1e6, "tie_word_embeddings": true,
  "torch_dtype": "float16"})";

std::unique_ptr<models::ModelConfig> model() {
  return models::parse_model_config(kConfig, "config.json");
}

config::Deck deck(int tensor, int pipeline) {
  config::Deck d{};
  d.parallel.tensor_model_parallel_size = tensor;
  d.parallel.pipeline_model_parallel_size = pipeline;
  d.parallel.context_parallel_size = 1;
  d.parallel.expert_model_parallel_size = 1;
  d.parallel.expert_tensor_parallel_size = 1;
  d.model.dtype = "float32";
  d.train.gradient_accumulation_steps = 4;
  d.train.per_device_train_batch_size = 1;
  return d;
}

std::string refusal(const config::Deck& d, int world) {
  try {
    check_layout(d, *model(), world);
  } catch (const UserError& error) {
    return cat(error.what(), " | ", error.remedy());
  }
  return {};
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(layout)

BOOST_AUTO_TEST_CASE(layouts_that_fit) {
  BOOST_TEST(refusal(deck(1, 1), 1).empty());
  BOOST_TEST(refusal(deck(2, 3), 6).empty());
}

BOOST_AUTO_TEST_CASE(everything_that_does_not_fit_is_told_at_once) {
  const std::string message = refusal(deck(3, 4), 12);
  BOOST_TEST(contains(message, "3 does not divide num_attention_heads = 4"), message);
  BOOST_TEST(contains(message, "3 does not divide num_key_value_heads = 2"), message);
  BOOST_TEST(contains(message, "3 does not divide intermediate_size = 160"), message);
  BOOST_TEST(contains(message, "6 layers do not divide over 4"), message);
  BOOST_TEST(contains(message, "pipeline_model_parallel_size"), message);
  const std::string tensor = refusal(deck(8, 1), 8);
  BOOST_TEST(contains(tensor, "num_attention_heads"), tensor);
  // Heads beyond their number are held twice.
  BOOST_TEST(!contains(tensor, "num_key_value_heads"), tensor);
  BOOST_TEST(contains(tensor, "choose a tensor_model_parallel_size of 1 or 2 or 4"),
             tensor);
}

// No remedy is an empty list.
BOOST_AUTO_TEST_CASE(sizes_that_fit_are_named) {
  config::Deck experts = deck(1, 1);
  experts.parallel.expert_model_parallel_size = 2;
  const std::string dense = refusal(experts, 4);
  BOOST_TEST(contains(dense, "| choose an expert_model_parallel_size of 1"), dense);
  experts.parallel.tensor_model_parallel_size = 3;
  experts.parallel.expert_model_parallel_size = 3;
  const std::string both = refusal(experts, 3);
  BOOST_TEST(contains(both, "write 1 for each of tensor_model_parallel_size"), both);
}

BOOST_AUTO_TEST_CASE(names) {
  config::Deck d = deck(2, 2);
  BOOST_TEST(layout_name(d.parallel, 8) == "tp2 pp2 dp2");
  d.parallel.virtual_pipeline_model_parallel_size = 3;
  d.parallel.sequence_parallel = true;
  d.parallel.use_distributed_optimizer = true;
  BOOST_TEST(layout_name(d.parallel, 4) == "tp2 pp2 vpp3 dp1 sp distributed-optimizer");
}

BOOST_AUTO_TEST_CASE(dtype_of_the_weights) {
  config::Model m{};
  const auto published = model();
  m.dtype = "float32";
  BOOST_TEST((weights_dtype(m, *published) == at::kFloat));
  m.dtype = "bfloat16";
  BOOST_TEST((weights_dtype(m, *published) == at::kBFloat16));
  // The published weights are fp16.
  m.dtype = "auto";
  BOOST_TEST((weights_dtype(m, *published) == at::kBFloat16));
}

BOOST_AUTO_TEST_CASE(recompute) {
  config::Deck d = deck(1, 1);
  d.train.recompute_num_layers = 2;
  d.train.recompute_modules = {"layernorm", "mlp_act"};
  d.train.recompute_granularity = config::RecomputeGranularity::kNone;
  const auto options = [&] { return model_options(d, *model(), at::kCPU).recompute; };
  BOOST_TEST((options().full == models::Recompute::Full::kNone));
  BOOST_TEST(!options().selective.norms);
  d.train.recompute_granularity = config::RecomputeGranularity::kSelective;
  BOOST_TEST((options().selective.norms && options().selective.activation));
  BOOST_TEST(!options().selective.core);
  BOOST_TEST((options().full == models::Recompute::Full::kNone));
  d.train.recompute_granularity = config::RecomputeGranularity::kFull;
  d.train.recompute_method = config::RecomputeMethod::kBlock;
  BOOST_TEST((options().full == models::Recompute::Full::kBlock));
  BOOST_TEST(options().layers == 2);
  BOOST_TEST(!options().selective.norms);
  d.train.recompute_method = config::RecomputeMethod::kUniform;
  BOOST_TEST((options().full == models::Recompute::Full::kUniform));
}

// Two stages of a tied model: the table is on both, the final norm on the last.
BOOST_AUTO_TEST_CASE(the_plan_lists_every_stage) {
  config::Deck on_cpus = deck(1, 2);
  on_cpus.parallel.device = config::Device::kCpu;
  on_cpus.data.cutoff_len = 64;
  const std::string text = make_plan(on_cpus, *model(), {4, "h200", "", {}, ""}).text;
  BOOST_TEST(contains(text, "4 ranks: tp1 pp2 dp2"), text);
  BOOST_TEST(contains(text, "global batch 8 samples"), text);
  BOOST_TEST(contains(text, " 0-2 "), text);
  BOOST_TEST(contains(text, " 3-5 "), text);
  // 1F1B on two stages of 1 + 2 keeps two micro-batches, then one; its bubble would be 1
  // of 5. The head adds 0.136 to each pass of the last stage: 1 - 12.27 / (1 + 4 * 3.136
  // + 2).
  BOOST_TEST(contains(text, "bubble 21.0 %"), text);
  const int64_t layer = 64 * 64 * 2 + 2 * 32 * 64 + 2 * 16 + 3 * 160 * 64 + 2 * 64;
  const int64_t first = 100 * 64 + 3 * layer;
  BOOST_TEST(contains(text, human_count(static_cast<double>(first))), text);
}

BOOST_AUTO_TEST_SUITE_END()
