// LLaMA-Factory's examples as they are given, on 8 ranks: only the models and datasets
// they name are small ones, at the places they name.
#define BOOST_TEST_MODULE examples
#include <boost/test/unit_test.hpp>

#include "mtrain/base/text.hpp"
#include "tiny_run.hpp"

using namespace mtrain;
namespace fs = std::filesystem;

namespace {

const fs::path kDemo = fs::path(MTRAIN_SOURCE_DIR) / "inputs/demo";

/// A working folder for the example `name`: its deck, and data/ with `records` of the
/// demo's tasks under the name of each of its datasets.
fs::path working_folder(const std::string& name, const test::Words& datasets,
                        size_t records) {
  const fs::path folder = test::scratch("examples-" + name);
  fs::current_path(folder);
  fs::copy(fs::path(MTRAIN_SOURCE_DIR) / "tests/run/examples" / (name + ".yaml"), folder);
  fs::create_directories(folder / "data");
  const auto tasks = nlohmann::json::parse(test::read_text(kDemo / "data/tasks.json"));
  nlohmann::json info;
  size_t next = 0;
  for (const auto& dataset : datasets) {
    nlohmann::json own = nlohmann::json::array();
    for (size_t i = 0; i < records; ++i) own.push_back(tasks.at(next++));
    test::write_text(folder / "data" / (dataset + ".json"), own.dump());
    info[dataset]["file_name"] = dataset + ".json";
  }
  test::write_text(folder / "data/dataset_info.json", info.dump());
  return folder;
}

/// Writes a model of random weights, with the demo's tokenizer, in Hugging Face format.
void make_model(const fs::path& model, nlohmann::json config) {
  const fs::path made = fs::current_path() / "made";
  fs::create_directories(made);
  for (const char* file : {"tokenizer.json", "tokenizer_config.json"})
    fs::copy(kDemo / "model" / file, made);
  config["vocab_size"] = 1280;
  config["eos_token_id"] = 1277;
  test::write_text(made / "config.json", config.dump());
  test::write_text(made / "deck.ini",
                   "model_config = made/config.json\ndataset = alpaca_en_demo\n"
                   "template = qwen3_nothink\nmax_steps = 0\ndevice = cpu\n");
  const auto outcome =
      test::run_program("mtrain", 1, {"made/deck.ini", "output_dir=" + model.string()});
  BOOST_REQUIRE_MESSAGE(outcome.exit_code == 0, outcome.output);
  fs::remove(model / "tokens.h5");
}

nlohmann::json golden_config(const std::string& model) {
  return nlohmann::json::parse(
      test::read_text(test::golden_model(model) / "config.json"));
}

/// Runs the example on 8 ranks, and returns its log.
std::vector<nlohmann::json> run(const std::string& name, const fs::path& output) {
  const std::string deck = name + ".yaml";
  const auto check =
      test::run_program("mtrain", 1, {deck, "--check", "--world-size", "8"});
  BOOST_REQUIRE_MESSAGE(check.exit_code == 0, check.output);
  const auto outcome = test::run_program("mtrain", 8, {deck, "device=cpu"});
  BOOST_REQUIRE_MESSAGE(outcome.exit_code == 0, outcome.output);
  for (const char* file : {"config.json", "model.safetensors", "tokenizer.json",
                           "tokenizer_config.json", "trainer_log.jsonl"})
    BOOST_TEST(fs::exists(output / file), file);
  return test::read_jsonl(output / "trainer_log.jsonl");
}

double mean_loss(const std::vector<nlohmann::json>& log, size_t first, size_t last) {
  double sum = 0;
  for (size_t i = first; i < last; ++i) sum += log[i]["loss"].get<double>();
  return sum / static_cast<double>(last - first);
}

}  // namespace

BOOST_AUTO_TEST_CASE(experts) {
  const fs::path folder = working_folder("qwen3_moe_full", {"alpaca_en_demo"}, 64);
  make_model("Qwen/Qwen3-30B-A3B-Instruct-2507", golden_config("tiny-qwen3-moe"));
  const auto log = run("qwen3_moe_full", folder / "saves/mca/qwen3_moe_full");
  // Two epochs of 64 / (1 * 8 * 2) steps, over the same samples.
  BOOST_REQUIRE(log.size() == 8u);
  BOOST_TEST(mean_loss(log, 4, 8) < mean_loss(log, 0, 4));
}

BOOST_AUTO_TEST_CASE(dense) {
  const fs::path folder =
      working_folder("qwen3_full", {"identity", "alpaca_en_demo"}, 40);
  make_model("Qwen/Qwen3-4B-Instruct-2507", golden_config("tiny-qwen3"));
  const auto log = run("qwen3_full", folder / "saves/qwen3-4b/full/sft");
  // Three epochs of 80 / (1 * 2 * 2) steps, a line every ten.
  BOOST_REQUIRE(log.size() == 6u);
  BOOST_TEST(mean_loss(log, 2, 4) < mean_loss(log, 0, 2));
  BOOST_TEST(mean_loss(log, 4, 6) < mean_loss(log, 2, 4));
}
