// Strategies of saving and evaluating, and the best model at the end, with the real
// programs.
#define BOOST_TEST_MODULE best
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <map>

#include "mtrain/base/text.hpp"
#include "support/golden.hpp"
#include "tiny_run.hpp"

using namespace mtrain;
using test::operator+;
using test::TinyRun;
using test::Words;
using test::words;
namespace fs = std::filesystem;

namespace {

/// Steps at which the run was evaluated, with the losses.
std::map<int64_t, double> evaluations(const fs::path& folder) {
  std::map<int64_t, double> found;
  for (const auto& line : test::read_jsonl(folder / "trainer_log.jsonl"))
    if (line.contains("eval_loss"))
      found[line["current_steps"].get<int64_t>()] = line["eval_loss"];
  return found;
}

std::vector<int64_t> saved_steps(const fs::path& folder) {
  std::vector<int64_t> steps;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename();
    if (name.starts_with("checkpoint-")) steps.push_back(std::stoll(name.substr(11)));
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

std::vector<int64_t> keys_of(const std::map<int64_t, double>& map) {
  std::vector<int64_t> keys;
  for (const auto& [key, value] : map) keys.push_back(key);
  return keys;
}

using Steps = std::vector<int64_t>;

/// A tiny run with other random samples to evaluate on.
struct EvaluatedRun : TinyRun {
  explicit EvaluatedRun(const std::string& name) : TinyRun(name) {
    auto others = test::random_samples(40, 512);
    others.erase(others.begin(), others.begin() + 24);
    test::write_samples(at("tokens.eval.h5"), others);
  }
};

}  // namespace

// Six steps an epoch.
BOOST_AUTO_TEST_CASE(with_each_epoch) {
  const EvaluatedRun run("best-epochs");
  const Words epochs = words("max_steps=-1 num_train_epochs=2.5");
  run.succeed(1, epochs + words("save_strategy=epoch eval_strategy=epoch"));
  BOOST_TEST(saved_steps(run.at("out")) == (Steps{6, 12, 15}),
             boost::test_tools::per_element());
  BOOST_TEST(keys_of(evaluations(run.at("out"))) == (Steps{0, 6, 12, 15}),
             boost::test_tools::per_element());

  const auto quiet = run.at("quiet");
  run.succeed(1, epochs +
                     words("save_strategy=no do_eval=true eval_strategy=no "
                           "eval_on_start=false") +
                     Words{"output_dir=" + quiet.string()});
  BOOST_TEST(saved_steps(quiet) == Steps{15}, boost::test_tools::per_element());
  BOOST_TEST(keys_of(evaluations(quiet)) == Steps{15}, boost::test_tools::per_element());
}

// Learning random tokens by heart makes others less likely: the best comes early.
BOOST_AUTO_TEST_CASE(the_best_is_kept_and_exported) {
  const EvaluatedRun run("best-kept");
  const Words keys = words(
      "max_steps=8 save_steps=2 eval_steps=2 do_eval=true save_total_limit=1 "
      "load_best_model_at_end=true learning_rate=1e-2 warmup_steps=0");
  const std::string said = run.succeed(1, keys);
  auto losses = evaluations(run.at("out"));
  losses.erase(0);
  int64_t best = 2;
  for (const auto& [step, loss] : losses)
    if (loss < losses.at(best)) best = step;
  BOOST_REQUIRE(best < 8);
  BOOST_TEST(saved_steps(run.at("out")) == (Steps{best, 8}),
             boost::test_tools::per_element());
  const auto checkpoint = run.at("out") / cat("checkpoint-", best);
  BOOST_TEST(
      said.find("the best model is that of " + checkpoint.string()) != std::string::npos,
      said);
  const auto exported_from = [&](const fs::path& folder) {
    const auto there = run.at("hf-" + folder.filename().string());
    const auto outcome =
        test::run_program("mconvert", 1, {"to-hf", folder.string(), there.string()});
    BOOST_REQUIRE_MESSAGE(outcome.exit_code == 0, outcome.output);
    const char* file = "model.safetensors";
    return test::read_text(there / file) == test::read_text(run.at("out") / file);
  };
  BOOST_TEST(exported_from(checkpoint));
  BOOST_TEST(!exported_from(run.at("out") / "checkpoint-8"));

  // A run that goes on still knows it, and so does a complete one.
  fs::remove_all(run.at("out") / "checkpoint-8");
  fs::remove(run.at("out") / "run_summary.json");
  fs::remove(run.at("out") / "model.safetensors");
  run.succeed(1, keys);
  BOOST_TEST(exported_from(checkpoint));
  fs::remove(run.at("out") / "run_summary.json");
  run.succeed(1, keys);
  BOOST_TEST(exported_from(checkpoint));
}

BOOST_AUTO_TEST_CASE(without_an_evaluation_set_there_is_no_best) {
  const TinyRun run("best-none");
  const auto outcome = run.run(1, words("save_steps=2 eval_steps=2 do_eval=true "
                                        "load_best_model_at_end=true"));
  BOOST_TEST(outcome.exit_code == 2, outcome.output);
  BOOST_TEST(outcome.output.find("there is no evaluation store") != std::string::npos,
             outcome.output);
}
