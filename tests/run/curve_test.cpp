// The real program against the reference's 20-step curve, in every kind of layout: same
// loss and gradient norm whatever tensor, sequence, pipeline and data parallelism,
// recompute and micro-batching. `curve_test -- device=cuda backend=nccl`: the same with
// these keys.
#define BOOST_TEST_MODULE curve
#include <ATen/ATen.h>

#include <boost/test/unit_test.hpp>
#include <fstream>

#include "mtrain/base/text.hpp"
#include "support/golden.hpp"
#include "support/run_program.hpp"

using namespace mtrain;

namespace {

// Relative, over all 20 steps in fp32; the reference's own fp32-fp64 differences are 1e-6
// and 4e-7.
constexpr double kLossTolerance = 1e-5, kNormTolerance = 1e-4;

/// One of the reference's curves.
struct Reference {
  Reference(std::string model_name, const std::string& variant)
      : model(std::move(model_name)), expected(golden().json()["curves"][variant]) {}
  test::GoldenCase golden() const { return test::GoldenCase(model + "/curve"); }

  std::string model;
  nlohmann::json expected;
};

std::vector<std::vector<int32_t>> curve_rows(const test::GoldenCase& golden) {
  const at::Tensor tokens = golden.tensor("tokens").to(at::kInt).contiguous();
  std::vector<std::vector<int32_t>> rows;
  for (int64_t i = 0; i < tokens.size(0); ++i) {
    const auto* first = tokens.data_ptr<int32_t>() + i * tokens.size(1);
    rows.emplace_back(first, first + tokens.size(1));
  }
  return rows;
}

std::string deck_text(const std::string& model, const std::filesystem::path& store) {
  return cat(
      "[model]\nmodel_name_or_path = ", (test::golden_dir() / "models" / model).string(),
      "\ndtype = float32\n[data]\ntokenized_path = ", store.string(),
      "\nshuffle = false\n"
      "[train]\nstage = pt\nmax_steps = 20\n"
      "[optimizer]\nlearning_rate = 1e-3\nadam_beta2 = 0.95\nweight_decay = 0.1\n"
      "max_grad_norm = 1.0\nlr_scheduler_type = cosine_with_min_lr\nmin_lr = 1e-4\n"
      "warmup_steps = 3\n[log]\nlogging_steps = 1\n");
}

/// Layout keys; micro-batch x accumulation x dp = 8 rows a step.
struct Case {
  std::string name;
  int ranks;
  std::string keys;
};

std::vector<std::string> words(const std::string& text) {
  std::vector<std::string> result;
  for (auto& word : split(text, ' ')) {
    if (!word.empty()) result.push_back(word);
  }
  return result;
}

std::string short_keys(const std::string& text) {
  std::string result;
  const std::pair<const char*, const char*> names[] = {
      {"tp", "tensor_model_parallel_size"},
      {"pp", "pipeline_model_parallel_size"},
      {"vpp", "virtual_pipeline_model_parallel_size"},
      {"sp", "sequence_parallel"},
      {"mbs", "per_device_train_batch_size"},
      {"ga", "gradient_accumulation_steps"},
      {"dist", "use_distributed_optimizer"},
      {"ogr", "overlap_grad_reduce"},
      {"opg", "overlap_param_gather"},
      {"op2p", "overlap_p2p_comm"},
      {"rg", "recompute_granularity"},
      {"rm", "recompute_method"},
      {"rn", "recompute_num_layers"},
      {"rmod", "recompute_modules"},
      {"first", "num_layers_in_first_pipeline_stage"},
      {"last", "num_layers_in_last_pipeline_stage"},
      {"ep", "expert_model_parallel_size"},
      {"etp", "expert_tensor_parallel_size"},
      {"disp", "moe_token_dispatcher_type"},
      {"router", "moe_router_dtype"},
      {"aux", "moe_aux_loss_coeff"}};
  for (const auto& word : words(text)) {
    const auto parts = split(word, '=');
    std::string key = parts[0];
    for (const auto& [brief, full] : names) {
      if (key == brief) key = full;
    }
    result += key + "=" + parts[1] + " ";
  }
  return result;
}

void check_case(const Case& c, const Reference& reference, const std::string& extra) {
  const nlohmann::json& expected = reference.expected;
  const auto dir = test::scratch(cat("curve-", reference.model, "-", c.name));
  test::write_store(dir / "tokens.h5", curve_rows(reference.golden()));
  test::write_text(dir / "deck.ini", deck_text(reference.model, dir / "tokens.h5"));
  auto arguments = words(short_keys(c.keys + " " + extra));
  arguments.insert(arguments.begin(), (dir / "deck.ini").string());
  arguments.push_back("output_dir=" + (dir / "out").string());
  const auto& suite = boost::unit_test::framework::master_test_suite();
  arguments.insert(arguments.end(), suite.argv + 1, suite.argv + suite.argc);
  const auto outcome = test::run_program("mtrain", c.ranks, arguments);
  BOOST_REQUIRE_MESSAGE(outcome.exit_code == 0, c.name << ":\n" << outcome.output);
  const auto log = test::read_jsonl(dir / "out" / "trainer_log.jsonl");
  BOOST_REQUIRE(log.size() == 20u);
  for (size_t i = 0; i < 20; ++i) {
    const double loss = expected["loss_fp64"][i], norm = expected["grad_norm_fp64"][i];
    const double my_loss = log[i]["loss"], my_norm = log[i]["grad_norm"];
    BOOST_CHECK_MESSAGE(
        std::abs(my_loss / loss - 1) < kLossTolerance,
        c.name << " step " << i + 1 << ": loss " << my_loss << " not " << loss);
    BOOST_CHECK_MESSAGE(
        std::abs(my_norm / norm - 1) < kNormTolerance,
        c.name << " step " << i + 1 << ": norm " << my_norm << " not " << norm);
    BOOST_TEST(std::abs(log[i]["lr"].get<double>() - expected["lr"][i].get<double>()) <
               1e-12);
    BOOST_TEST(log[i]["num_tokens"].get<int64_t>() == int64_t(i + 1) * 8 * 32);
    if (!expected.contains("aux_sum_fp64")) continue;
    const double balance = expected["aux_sum_fp64"][i], my_balance = log[i]["aux_loss"];
    BOOST_CHECK_MESSAGE(
        std::abs(my_balance / balance - 1) < kLossTolerance,
        c.name << " step " << i + 1 << ": balance " << my_balance << " not " << balance);
  }
}

const std::vector<Case> kOneRank = {
    {"one", 1, "mbs=8 ga=1"},
    {"one-mbs1", 1, "mbs=1 ga=8"},
    {"one-mbs2", 1, "mbs=2 ga=4 rg=full rm=uniform rn=1"},
    {"one-mbs4", 1, "mbs=4 ga=2 rg=selective rmod=core_attn,layernorm,mlp"},
};
const std::vector<Case> kTwoRanks = {
    {"tp2", 2, "tp=2 mbs=8 ga=1"},
    {"tp2-sp", 2,
     "tp=2 sp=true mbs=4 ga=2 rg=selective rmod=core_attn,layernorm,mlp_act"},
    {"pp2", 2, "pp=2 mbs=2 ga=4"},
    {"pp2-vpp2", 2, "pp=2 vpp=2 mbs=1 ga=8 op2p=true"},
    {"pp2-vpp2-blocking", 2, "pp=2 vpp=2 mbs=2 ga=4 op2p=false rg=full rm=block rn=1"},
    {"pp2-uneven", 2, "pp=2 first=1 last=3 mbs=1 ga=8 rg=full rm=uniform rn=2"},
    {"dp2", 2, "mbs=4 ga=1"},
};
const std::vector<Case> kFourRanks = {
    {"tp2-pp2", 4, "tp=2 pp=2 mbs=2 ga=4"},
    {"tp4-sp", 4, "tp=4 sp=true mbs=4 ga=2"},
    {"pp4", 4, "pp=4 mbs=1 ga=8"},
    {"dp4-dist-overlap", 4, "dist=true ogr=true opg=true mbs=1 ga=2"},
    {"dp2-tp2-dist", 4, "tp=2 sp=true dist=true mbs=2 ga=2"},
};
const std::vector<Case> kEightRanks = {
    {"tp2-pp2-dp2-sp-vpp2", 8,
     "tp=2 pp=2 vpp=2 sp=true dist=true ogr=true opg=true op2p=true mbs=1 ga=4"},
};

void check_all(const std::vector<Case>& cases, const Reference& reference) {
  for (const Case& c : cases) check_case(c, reference, "");
}

const Reference& dense() {
  static const Reference reference("tiny-qwen3", "main");
  return reference;
}

const std::vector<Case> kExperts = {
    {"one", 1, "mbs=8 ga=1"},
    {"one-recompute", 1, "mbs=2 ga=4 rg=selective rmod=layernorm,moe,moe_act"},
    {"ep2", 2, "ep=2 mbs=4 ga=1 dist=true ogr=true opg=true"},
    {"ep2-gather", 2, "ep=2 mbs=2 ga=2 disp=allgather"},
    {"tp2-ep2", 2, "tp=2 sp=true ep=2 mbs=8 ga=1"},
    {"tp2-without-sp", 2, "tp=2 mbs=4 ga=2 rg=selective rmod=moe router=fp64"},
    {"tp2-etp2", 2, "tp=2 etp=2 mbs=4 ga=2 rg=full rm=uniform rn=2"},
    {"ep4", 4, "ep=4 mbs=2 ga=1 dist=true"},
    {"dp4-ep2", 4, "ep=2 mbs=1 ga=2 dist=true ogr=true opg=true"},
    {"tp2-ep4-gather", 4, "tp=2 sp=true ep=4 mbs=4 ga=1 disp=allgather dist=true"},
    {"tp2-ep2-etp2", 4, "tp=2 sp=true ep=2 etp=2 mbs=2 ga=2 dist=true"},
    {"pp2-vpp2-ep2", 4, "pp=2 vpp=2 ep=2 mbs=1 ga=4 dist=true op2p=true rg=full"},
    {"tp2-pp2-ep2", 4, "tp=2 pp=2 sp=true ep=2 mbs=2 ga=4"},
};

}  // namespace

BOOST_AUTO_TEST_CASE(one_rank) {
  check_all(kOneRank, dense());
}
BOOST_AUTO_TEST_CASE(two_ranks) {
  check_all(kTwoRanks, dense());
}
BOOST_AUTO_TEST_CASE(four_ranks) {
  check_all(kFourRanks, dense());
}
BOOST_AUTO_TEST_CASE(eight_ranks) {
  check_all(kEightRanks, dense());
}

BOOST_AUTO_TEST_CASE(constant_rate) {
  check_case({"constant", 2, "mbs=4 ga=1 dist=true"},
             Reference("tiny-qwen3", "constant_lr"),
             "lr_scheduler_type=constant warmup_steps=0 min_lr=null");
}

BOOST_AUTO_TEST_CASE(experts) {
  check_all(kExperts, Reference("tiny-qwen3-moe", "main"));
}

// Per micro-batch: of 8 sequences, and of 1, whatever ranks they are on.
BOOST_AUTO_TEST_CASE(experts_with_balance_loss) {
  const Reference whole("tiny-qwen3-moe", "aux_megatron"),
      single("tiny-qwen3-moe", "aux_megatron_micro1");
  check_all({{"balance-one", 1, "mbs=8 ga=1 aux=0.01"},
             {"balance-tp2-ep2", 2, "mbs=8 ga=1 aux=0.01 tp=2 sp=true ep=2"},
             {"balance-tp2-etp2", 2, "mbs=8 ga=1 aux=0.01 tp=2 etp=2"}},
            whole);
  check_all({{"balance-micro1", 1, "mbs=1 ga=8 aux=0.01 rg=full"},
             {"balance-micro1-ep4", 4, "mbs=1 ga=2 aux=0.01 ep=4"},
             {"balance-micro1-pp2", 4, "mbs=1 ga=4 aux=0.01 pp=2 ep=2"}},
            single);
}
