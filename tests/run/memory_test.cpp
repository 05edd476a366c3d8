// Planned memory against what tensors took, and runs that find no room.
#define BOOST_TEST_MODULE memory
#include <boost/test/unit_test.hpp>
#include <sstream>

#include "mtrain/base/text.hpp"
#include "tiny_run.hpp"

using namespace mtrain;
using test::Words;
using test::words;
using test::operator+;

namespace {

constexpr int kVocab = 4096, kLength = 512;

/// config.json of a model whose tensors are large beside what else a program needs.
std::string config_json(const std::string& more, int layers = 4) {
  return cat(R"({"vocab_size": )", kVocab, R"(, "hidden_size": 256,
    "intermediate_size": 768, "num_hidden_layers": )",
             layers, R"(, "num_attention_heads": 8,
    "num_key_value_heads": 4, "head_dim": 32, "rope_theta": 1e4,
    "tie_word_embeddings": true, )",
             more, "}");
}

std::string with_experts(const std::string& dense_layers) {
  return config_json(R"("model_type": "qwen3_moe", "num_experts": 8,
    "num_experts_per_tok": 2, "norm_topk_prob": true, "decoder_sparse_step": 1,
    "moe_intermediate_size": 256, "mlp_only_layers": )" +
                     dense_layers);
}

/// Trains these models on rows of kLength tokens, four a micro-batch.
class MemoryRun {
 public:
  explicit MemoryRun(const std::string& name) : run_(name) {
    test::write_text(run_.at("dense"), config_json(R"("model_type": "qwen3")"));
    test::write_text(run_.at("experts"), with_experts("[]"));
    test::write_text(run_.at("mixed"), with_experts("[0, 2]"));
    test::write_text(run_.at("large"), config_json(R"("model_type": "qwen3")", 4000));
    test::write_store(run_.at("rows.h5"), test::counted_rows(32, kLength, kVocab));
  }

  test::Outcome run(const std::string& model, int ranks, const std::string& overrides,
                    const Words& environment) const {
    std::filesystem::remove_all(run_.at("out"));
    return run_.run(
        ranks,
        words(cat("model_name_or_path=null model_config=", run_.at(model).string(),
                  " tokenized_path=", run_.at("rows.h5").string(),
                  " cutoff_len=", kLength, " max_steps=3 ")) +
            words(overrides),
        environment);
  }

 private:
  test::TinyRun run_;
};

double bytes_of(double amount, const std::string& unit) {
  for (const auto& [name, factor] :
       {std::pair{"KiB", 1e0 / 1024}, {"MiB", 1}, {"GiB", 1024}})
    if (unit == name) return amount * factor;
  throw std::runtime_error("unit " + unit);
}

/// The amount after the first `label` of a text, in MiB.
double amount_after(const std::string& text, const std::string& label) {
  const size_t at = text.find(label);
  BOOST_TEST_REQUIRE(at != std::string::npos, label << " is not in:\n" << text);
  std::istringstream words(text.substr(at + label.size()));
  double amount = 0;
  std::string unit;
  words >> amount >> unit;
  return bytes_of(amount, unit);
}

/// The sum of the first stage in the table of --check, in MiB.
double checked_sum(const std::string& output) {
  const size_t header = output.find("  stage  layers");
  BOOST_TEST_REQUIRE(header != std::string::npos, output);
  const size_t column = output.find("  sum ", header) + 2 - header;
  const size_t row = output.find('\n', header) + 1;
  return amount_after(output.substr(row + column), "");
}

struct Case {
  std::string model;
  int ranks;
  std::string overrides;
};

const Case kCases[] = {
    {"dense", 1, ""},
    {"dense", 1, "recompute_granularity=selective recompute_modules=layernorm,mlp"},
    {"dense", 1,
     "recompute_granularity=full recompute_method=block recompute_num_layers=2"},
    {"dense", 2, "pipeline_model_parallel_size=2 gradient_accumulation_steps=4"},
    {"dense", 2,
     "pipeline_model_parallel_size=2 virtual_pipeline_model_parallel_size=2 "
     "gradient_accumulation_steps=4"},
    {"dense", 2, "tensor_model_parallel_size=2 sequence_parallel=true"},
    {"dense", 2, "use_distributed_optimizer=true"},
    {"experts", 1,
     "recompute_granularity=full recompute_method=uniform recompute_num_layers=1"},
    {"experts", 2, "expert_model_parallel_size=2"},
    {"mixed", 1,
     "recompute_granularity=full recompute_method=uniform recompute_num_layers=2"},
};

}  // namespace

BOOST_AUTO_TEST_CASE(planned_memory_is_what_tensors_take) {
  const MemoryRun run("memory");
  const auto tolerance = boost::test_tools::tolerance(0.05);
  for (const Case& c : kCases) {
    BOOST_TEST_CONTEXT(c.model << " on " << c.ranks << " ranks: " << c.overrides) {
      const auto outcome = run.run(c.model, c.ranks, c.overrides, {});
      BOOST_TEST_REQUIRE(outcome.exit_code == 0, outcome.output);
      const double measured = amount_after(outcome.output, "measured peak ");
      BOOST_TEST(amount_after(outcome.output, "  sum ") == measured, tolerance);
      const auto check = run.run(
          c.model, 1, cat(c.overrides, " device=cpu --check --world-size ", c.ranks), {});
      BOOST_TEST(checked_sum(check.output) == measured, tolerance);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_run_without_room_says_who_holds_what) {
  const MemoryRun run("no-room");
  // Room for the program and a small model, but not for 32 rows at a time.
  for (const auto& [model, holder] :
       {std::pair{"dense", "kept: gate and up"}, {"large", "micro-batches kept"}}) {
    const auto outcome = run.run(model, 1, "per_device_train_batch_size=32",
                                 {"prlimit", "--as=1900000000"});
    BOOST_TEST(outcome.exit_code == 1, outcome.output);
    for (const char* part : {"out of memory", holder, "what would save most"})
      BOOST_TEST(outcome.errors.find(part) != std::string::npos,
                 part << " is missing in:\n"
                      << outcome.output);
    BOOST_TEST(outcome.errors.find("fits") == std::string::npos, outcome.errors);
  }
}
