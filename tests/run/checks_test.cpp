// `mtrain --check` on the decks of inputs/: each passes with the world size its comments
// name, and trains nothing.
#define BOOST_TEST_MODULE checks
#include <boost/test/unit_test.hpp>
#include <regex>
#include <set>

#include "mtrain/base/text.hpp"
#include "tiny_run.hpp"

using namespace mtrain;
using test::Words;
using test::operator+;
namespace fs = std::filesystem;

namespace {

const fs::path kSource = MTRAIN_SOURCE_DIR;

/// config.json of a dense Qwen3 of these sizes.
std::string config(int hidden, int ffn, int layers, int heads, int kv_heads) {
  return nlohmann::json{{"model_type", "qwen3"},
                        {"vocab_size", 151936},
                        {"hidden_size", hidden},
                        {"intermediate_size", ffn},
                        {"num_hidden_layers", layers},
                        {"num_attention_heads", heads},
                        {"head_dim", 128},
                        {"num_key_value_heads", kv_heads},
                        {"rope_theta", 5e6},
                        {"hidden_act", "silu"},
                        {"tie_word_embeddings", true},
                        {"torch_dtype", "bfloat16"}}
      .dump();
}

struct ShippedDeck {
  std::string path, ranks;
  /// The ranks are those of the example in the deck's own comments.
  explicit ShippedDeck(const fs::path& name)
      : path((kSource / "inputs" / name).string()) {
    const std::string text = test::read_text(path);
    std::smatch found;
    BOOST_REQUIRE_MESSAGE(
        std::regex_search(text, found, std::regex("mpirun -np ([0-9]+)")), path);
    ranks = found[1];
  }
};

/// Checks a deck from the root of the repository, where its relative paths start.
test::Outcome check(const ShippedDeck& deck, const Words& overrides) {
  Words arguments = {deck.path, "--check", "--world-size", deck.ranks};
  arguments.insert(arguments.end(), overrides.begin(), overrides.end());
  const auto here = fs::current_path();
  fs::current_path(kSource);
  const auto outcome = test::run_program("mtrain", 1, arguments);
  fs::current_path(here);
  return outcome;
}

void expect_plan(const test::Outcome& outcome, const Words& parts) {
  BOOST_CHECK_MESSAGE(outcome.exit_code == 0, outcome.output);
  for (const auto& part : parts)
    BOOST_TEST(outcome.output.find(part) != std::string::npos, part << " in\n"
                                                                    << outcome.output);
}

/// The weights of a deck's model are not here: its config.json alone makes the plan. Its
/// datasets are small ones beside it.
Words planned_from(const fs::path& config_json) {
  const fs::path folder = config_json.parent_path();
  test::write_example_data(folder);
  return {"model_name_or_path=", "model_config=" + config_json.string(),
          "dataset_dir=" + folder.string(), "output_dir=" + (folder / "out").string()};
}

}  // namespace

BOOST_AUTO_TEST_CASE(demo) {
  const ShippedDeck deck("demo.ini");
  expect_plan(check(deck, {"output_dir=" + (test::scratch("checks") / "out").string()}),
              {"4 ranks: tp2 pp2 dp1 sp", "check passed"});
  BOOST_TEST(!fs::exists(fs::path(MTRAIN_BINARY_DIR) / "test-scratch/checks/out"));
}

BOOST_AUTO_TEST_CASE(qwen3_full) {
  const auto dir = test::scratch("checks-full");
  test::write_text(dir / "config.json", config(2560, 9728, 36, 32, 8));
  const ShippedDeck deck("qwen3_full.ini");
  expect_plan(check(deck, planned_from(dir / "config.json")),
              {"4.02B parameters", "8 ranks: tp2 pp2 dp2 sp distributed-optimizer",
               "global batch 16", "0-17", "18-35", "check passed"});
  const auto missing = check(deck, {"model_name_or_path=models/none"});
  BOOST_TEST(missing.exit_code == 2, missing.output);
  BOOST_TEST(missing.output.find("no folder models/none") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(qwen3_dpo) {
  const auto dir = test::scratch("checks-dpo");
  test::write_text(dir / "config.json", config(2560, 9728, 36, 32, 8));
  const ShippedDeck deck("qwen3_dpo.ini");
  const Words keys = planned_from(dir / "config.json");
  expect_plan(check(deck, keys),
              {"8 ranks: tp2 pp2 dp2 sp", "global batch 16 pairs", "check passed"});
  const auto missing = check(deck, keys + Words{"ref_model=models/none"});
  BOOST_TEST(missing.exit_code == 2, missing.output);
  BOOST_TEST(missing.output.find("models/none") != std::string::npos, missing.output);
}

BOOST_AUTO_TEST_CASE(qwen3_moe_full) {
  const ShippedDeck deck("qwen3_moe_full.ini");
  const auto dir = test::scratch("checks-moe");
  auto sizes = nlohmann::json::parse(config(2048, 6144, 48, 32, 4));
  sizes.update({{"model_type", "qwen3_moe"},
                {"num_experts", 128},
                {"num_experts_per_tok", 8},
                {"moe_intermediate_size", 768},
                {"norm_topk_prob", true},
                {"decoder_sparse_step", 1},
                {"mlp_only_layers", nlohmann::json::array()},
                {"tie_word_embeddings", false}});
  test::write_text(dir / "config.json", sizes.dump());
  expect_plan(check(deck, planned_from(dir / "config.json")),
              {"qwen3_moe, 30.5B parameters", "8 ranks: tp1 pp4 dp2 ep2", "0-11", "36-47",
               "check passed"});
}

BOOST_AUTO_TEST_CASE(layouts_of_experts_that_do_not_fit) {
  const auto dir = test::scratch("checks-moe-faults");
  const auto golden = fs::path(MTRAIN_SOURCE_DIR) / "tests/golden/data/models";
  test::write_text(
      dir / "deck.ini",
      "[model]\nmodel_config = " + (golden / "tiny-qwen3-moe/config.json").string() +
          "\n[data]\ntokenized_path = " + (dir / "tokens.h5").string() +
          "\n[train]\nstage = pt\nmax_steps = 1\n[checkpoint]\noutput_dir = " +
          (dir / "out").string() + "\n[parallel]\ndevice = cpu\n");
  test::write_store(dir / "tokens.h5", {{1, 2, 3, 4}, {5, 6, 7, 8}});
  const auto refused = [&](Words words, const std::string& part) {
    words.insert(words.begin(),
                 {(dir / "deck.ini").string(), "--check", "--world-size", "12"});
    const auto outcome = test::run_program("mtrain", 1, words);
    BOOST_TEST(outcome.exit_code == 2, outcome.output);
    BOOST_TEST(outcome.output.find(part) != std::string::npos, outcome.output);
  };
  refused({"expert_model_parallel_size=3"}, "does not divide num_experts = 8");
  refused({"expert_tensor_parallel_size=2"}, "is neither 1 nor");
}

// Nothing is left out: every deck of inputs/ has its case above.
BOOST_AUTO_TEST_CASE(every_deck_is_tested) {
  std::set<std::string> decks;
  for (const auto& entry : fs::directory_iterator(kSource / "inputs")) {
    const auto ending = entry.path().extension();
    if (ending == ".ini" || ending == ".yaml") decks.insert(entry.path().filename());
  }
  const std::set<std::string> known = {"demo.ini", "qwen3_dpo.ini", "qwen3_full.ini",
                                       "qwen3_moe_full.ini"};
  BOOST_TEST(decks == known, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_good_deck_trains_nothing) {
  const test::TinyRun run("checks-good");
  const std::string before = test::listing(run.at(""));
  expect_plan(run.run(1, {"--check"}), {"global batch 4", "check passed"});
  expect_plan(run.run(1, {"--check", "--world-size", "8", "tensor_model_parallel_size=2",
                          "pipeline_model_parallel_size=2",
                          "virtual_pipeline_model_parallel_size=2"}),
              {"8 ranks: tp2 pp2 vpp2 dp2", "0-0,2-2", "interleaved", "check passed"});
  BOOST_TEST(test::listing(run.at("")) == before);
  BOOST_TEST(!fs::exists(run.at("out")));
}
