// What `mtrain --check` finds in everything a run would read, and that it leaves nothing
// behind.
#define BOOST_TEST_MODULE check_faults
#include <boost/test/unit_test.hpp>

#include "mtrain/base/text.hpp"
#include "tiny_run.hpp"

using namespace mtrain;
using test::Words;
using test::operator+;
namespace fs = std::filesystem;

namespace {

/// `words` without the keys that `more` gives, and these.
Words replaced(Words words, const Words& more) {
  for (const auto& word : more)
    std::erase_if(words, [&](const std::string& old) {
      return old.starts_with(word.substr(0, word.find('=')) + "=");
    });
  return words + more;
}

/// A model of random weights and the datasets of the decks in inputs/, for stage sft.
struct Case {
  explicit Case(const std::string& name) : run(name) {
    fs::create_directory(run.at("data"));
    test::write_example_data(run.at("data"));
    fs::copy(run.at("data"), run.at("model"));
    auto config = nlohmann::json::parse(
        test::read_text(test::golden_model("tiny-qwen3") / "config.json"));
    config["vocab_size"] = 1280;
    test::write_text(run.at("model") / "config.json", config.dump());
  }

  Words keys() const {
    return {"model_name_or_path=",
            "model_config=" + (run.at("model") / "config.json").string(),
            "tokenized_path=",
            "dataset_dir=" + run.at("data").string(),
            "stage=sft",
            "template=qwen3_nothink",
            "device=cpu",
            "dataset=identity",
            "--check"};
  }

  /// Expects the check to end with `code` and to say all of `parts`.
  void expect(int code, const Words& more, const Words& parts) const {
    BOOST_TEST_CONTEXT(join(more, " ")) {
      const std::string before = test::listing(run.at(""));
      const auto outcome = run.run(1, replaced(keys(), more));
      BOOST_TEST(outcome.exit_code == code, outcome.output);
      for (const auto& part : parts)
        BOOST_TEST(outcome.output.find(part) != std::string::npos, part
                                                                       << " in\n"
                                                                       << outcome.output);
      BOOST_TEST(test::listing(run.at("")) == before);
      BOOST_TEST(!fs::exists(run.at("out")));
    }
  }

  test::TinyRun run;
};

}  // namespace

BOOST_AUTO_TEST_CASE(what_was_read_is_told) {
  const Case c("check-reads");
  c.expect(0, {},
           {"dataset identity: 40 records in", "records: all 40 checked",
            "steps of an epoch: 10", "tokenizer.json", "can be written", "check passed"});
  nlohmann::json many = nlohmann::json::array();
  for (int i = 0; i < 1700; ++i)
    many.push_back({{"instruction", "a"}, {"input", ""}, {"output", "b"}});
  test::write_text(c.run.at("data") / "tasks.json", many.dump());
  c.expect(0, {}, {"records: 500 of 1,700 checked; --check=full reads all"});
  many[700]["output"] = 7;
  test::write_text(c.run.at("data") / "tasks.json", many.dump());
  c.expect(2, {"--check=full"}, {"1 malformed record:", "remedy: "});
}

BOOST_AUTO_TEST_CASE(faults_are_told_together) {
  const Case c("check-faults");
  fs::remove(c.run.at("model") / "tokenizer.json");
  c.expect(2,
           {"dataset=identiti,alpaca_en_demo", "eval_dataset=nope", "do_eval=true",
            "output_dir=/proc/foo", "tensor_model_parallel_size=3", "--world-size", "3"},
           {"5 faults", "dataset 'identiti' is not in", "did you mean 'identity'?",
            "dataset 'nope'", "tokenizer.json", "cannot write to /proc/foo",
            "3 does not divide num_attention_heads"});
}

BOOST_AUTO_TEST_CASE(data_that_cannot_be_trained_on) {
  const Case c("check-data");
  c.expect(2, {"stage=dpo"}, {"stage dpo needs preference pairs"});
  c.expect(0, {"stage=dpo", "dataset=dpo_en_demo"}, {"check passed"});
  c.expect(
      2,
      {"stage=dpo", "dataset=dpo_en_demo", "ref_log_probs=" + c.run.at("none").string()},
      {"ref_log_probs: no file", "run mprep with this deck"});
  c.expect(2, {"dataset=dpo_en_demo"}, {"it is for stage dpo only"});
  c.expect(2, {"val_size=40", "do_eval=true"}, {"nothing is left to train on"});
  c.expect(2, {"gradient_accumulation_steps=11"},
           {"one step needs 44 samples", "the dataset has 40"});
  c.expect(2, {"--world-size", "8", "gradient_accumulation_steps=2"},
           {"one step needs 64 samples"});
  const Words store = {"tokenized_path=" + c.run.at("tokens.h5").string(), "stage=pt",
                       "dataset="};
  c.expect(0, store, {"tokens.h5: all 24 samples"});
  c.expect(2, store + Words{"do_eval=true"}, {"there is no evaluation store"});
  auto config = nlohmann::json::parse(test::read_text(c.run.at("model") / "config.json"));
  config["vocab_size"] = 100;
  test::write_text(c.run.at("model") / "config.json", config.dump());
  c.expect(2, {}, {"is beyond the model's vocabulary of 100"});
  test::write_text(c.run.at("data") / "tasks.json", "[{\"instruction\": ");
  c.expect(2, {}, {"tasks.json ends within element 1"});
  fs::remove(c.run.at("data") / "dataset_info.json");
  c.expect(2, {}, {"dataset_info.json"});
}

BOOST_AUTO_TEST_CASE(results_must_find_their_place) {
  const Case c("check-output");
  test::write_text(c.run.at("file"), "");
  c.expect(2, {"output_dir=" + (c.run.at("file") / "below").string()},
           {"output_dir: cannot write to", "choose a folder"});
  fs::copy(test::golden_model("tiny-qwen3"), c.run.at("own"));
  const Words own = {"model_name_or_path=" + c.run.at("own").string(),
                     "model_config=", "tokenized_path=" + c.run.at("tokens.h5").string(),
                     "dataset=", "stage=pt"};
  c.expect(0, own, {"headers of", "and no tokenizer.json"});
  c.expect(2, own + Words{"output_dir=" + c.run.at("own").string()},
           {"is the model to start from", "choose another folder"});
  // A file of the exported model that cannot be read at the end.
  fs::create_symlink("nowhere", c.run.at("own") / "vocab.json");
  c.expect(2, own, {"vocab.json"});
}

BOOST_AUTO_TEST_CASE(keys_that_change_nothing_are_told) {
  const Case c("check-no-effect");
  c.expect(0, {"moe_aux_loss_coeff=0.01", "attention_backend=cudnn"},
           {"moe_aux_loss_coeff = 0.01 has no effect: the model has no experts",
            "attention_backend = cudnn has no effect"});
  const std::string output = c.run.succeed(
      1, {"max_steps=0", "moe_aux_loss_coeff=0.01", "attention_backend=cudnn"});
  for (const char* part : {"moe_aux_loss_coeff = 0.01 has no effect",
                           "attention_backend = cudnn has no effect"})
    BOOST_TEST(output.find(part) != std::string::npos, output);
}
