// --check, --plan-search and --doctor of the real program.
#define BOOST_TEST_MODULE plan
#include <sys/resource.h>

#include <boost/test/unit_test.hpp>

#include "mtrain/base/text.hpp"
#include "tiny_run.hpp"

using namespace mtrain;
namespace fs = std::filesystem;

namespace {

bool says(const std::string& output, const std::string& part) {
  return output.find(part) != std::string::npos;
}

/// Seconds of a processor that ended programs took so far.
double processor_seconds() {
  rusage usage{};
  getrusage(RUSAGE_CHILDREN, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/// config.json of the published models, as far as it is read.
std::string dense_4b() {
  return R"({"model_type": "qwen3", "vocab_size": 151936, "hidden_size": 2560,
    "intermediate_size": 9728, "num_hidden_layers": 36, "num_attention_heads": 32,
    "num_key_value_heads": 8, "head_dim": 128, "rope_theta": 5e6,
    "tie_word_embeddings": true, "torch_dtype": "bfloat16"})";
}
std::string experts_30b() {
  return R"({"model_type": "qwen3_moe", "vocab_size": 151936, "hidden_size": 2048,
    "intermediate_size": 6144, "moe_intermediate_size": 768, "num_hidden_layers": 48,
    "num_attention_heads": 32, "num_key_value_heads": 4, "head_dim": 128,
    "num_experts": 128, "num_experts_per_tok": 8, "norm_topk_prob": true,
    "decoder_sparse_step": 1, "mlp_only_layers": [], "rope_theta": 1e7,
    "tie_word_embeddings": false, "torch_dtype": "bfloat16"})";
}

struct Shipped {
  std::string deck, config;
};

test::Outcome plan(const Shipped& shipped, const std::vector<std::string>& flags) {
  const auto config = test::scratch("plan") / "config.json";
  test::write_text(config, shipped.config);
  std::vector<std::string> words = {cat(MTRAIN_SOURCE_DIR "/inputs/", shipped.deck),
                                    "model_name_or_path=null",
                                    "model_config=" + config.string()};
  words.insert(words.end(), flags.begin(), flags.end());
  return test::run_program("mtrain", 1, words);
}

}  // namespace

BOOST_AUTO_TEST_CASE(shipped_decks_are_planned_in_a_moment) {
  for (const Shipped& shipped :
       {Shipped{"qwen3_full.ini", dense_4b()}, Shipped{"qwen3_dpo.ini", dense_4b()},
        Shipped{"qwen3_moe_full.ini", experts_30b()}}) {
    const double before = processor_seconds();
    const auto outcome = plan(shipped, {"--check", "--world-size", "8", "--gpu", "h100"});
    const double seconds = processor_seconds() - before;
    BOOST_TEST(outcome.exit_code == 0, outcome.output);
    BOOST_TEST(says(outcome.output, "on h100 GPUs, estimated: step "), outcome.output);
    BOOST_TEST(says(outcome.output, "it fits"), outcome.output);
    BOOST_TEST(seconds < 1.0, shipped.deck << " took " << seconds << " s");
  }
}

BOOST_AUTO_TEST_CASE(layouts_are_searched) {
  const auto outcome =
      plan({"qwen3_moe_full.ini", experts_30b()}, {"--plan-search", "16"});
  BOOST_TEST(outcome.exit_code == 0, outcome.output);
  BOOST_TEST(says(outcome.output, "layouts for 16 h200 GPUs"), outcome.output);
  BOOST_TEST(says(outcome.output, " ep"), outcome.output);
}

BOOST_AUTO_TEST_CASE(the_doctor_looks_at_everything) {
  const auto outcome = test::run_program("mtrain", 2, {"--doctor"});
  BOOST_TEST(outcome.exit_code == 0, outcome.output);
  for (const char* subject : {"MPI", "libraries", "processor", "memory", "GPU", "disk",
                              "shared files", "links", "healthy"})
    BOOST_TEST(says(outcome.output, subject), subject << ":\n" << outcome.output);
}
