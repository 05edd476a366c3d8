// Runs that must agree to the last bit: repeated ones, and those that differ only in what
// is kept or when it is sent. `bitwise_test -- device=cuda backend=nccl`: with these
// keys.
#define BOOST_TEST_MODULE bitwise
#include <boost/test/unit_test.hpp>
#include <nlohmann/json.hpp>

#include "tiny_run.hpp"

using namespace mtrain;
using test::Words;
using test::operator+;

namespace {

Words keys_given() {
  const auto& suite = boost::unit_test::framework::master_test_suite();
  return Words(suite.argv + 1, suite.argv + suite.argc);
}

/// Loss and gradient norm of each step, as the log has them.
std::string figures(const std::filesystem::path& output_dir) {
  std::string text;
  for (const auto& line : test::read_jsonl(output_dir / "trainer_log.jsonl"))
    text += line["loss"].dump() + " " + line["grad_norm"].dump() + "\n";
  return text;
}

/// What a run of these keys leaves: its figures and the bytes of its weights.
struct Result {
  std::string figures, weights;
};

Result result_of(const test::TinyRun& run, int ranks, const std::string& keys) {
  const auto out = run.at("out");
  std::filesystem::remove_all(out);
  run.succeed(ranks, test::words(keys + " dtype=bfloat16") + keys_given());
  return {figures(out), test::read_text(out / "model.safetensors")};
}

/// All sets of keys give what the first one does.
void check_equal(const std::string& name, int ranks, const std::string& common,
                 const Words& variants) {
  const test::TinyRun run(name);
  Result first;
  for (const auto& variant : variants) {
    const Result result = result_of(run, ranks, common + " " + variant);
    if (first.figures.empty()) first = result;
    BOOST_TEST(result.figures == first.figures, variant);
    BOOST_TEST((result.weights == first.weights), variant);
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(deterministic_runs_repeat) {
  check_equal("bitwise-repeat", 1, "deterministic=true max_steps=50",
              {"save_steps=0", "save_steps=0"});
}

BOOST_AUTO_TEST_CASE(recompute_changes_nothing) {
  check_equal(
      "bitwise-recompute", 1, "deterministic=true max_steps=4",
      {"recompute_granularity=none",
       "recompute_granularity=selective recompute_modules=layernorm,mlp_act",
       "recompute_granularity=selective recompute_modules=core_attn,layernorm,mlp",
       "recompute_granularity=full recompute_method=uniform recompute_num_layers=2"});
}

BOOST_AUTO_TEST_CASE(overlap_changes_nothing) {
  check_equal("bitwise-overlap", 2,
              "deterministic=true max_steps=4 per_device_train_batch_size=2 "
              "use_distributed_optimizer=true",
              {"overlap_grad_reduce=false overlap_param_gather=false",
               "overlap_grad_reduce=true overlap_param_gather=false",
               "overlap_grad_reduce=true overlap_param_gather=true"});
  check_equal("bitwise-p2p", 2,
              "deterministic=true max_steps=4 pipeline_model_parallel_size=2 "
              "per_device_train_batch_size=1 gradient_accumulation_steps=4",
              {"overlap_p2p_comm=false", "overlap_p2p_comm=true"});
}
