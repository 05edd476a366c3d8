// Flat YAML decks as LLaMA-Factory has them.
#include "support.hpp"

namespace mtrain::config {

namespace {

std::string fault_in_yaml(const std::string& text) {
  return fault_in(text, {}, "run.yaml");
}

}  // namespace

BOOST_AUTO_TEST_SUITE(yaml_suite)

BOOST_AUTO_TEST_CASE(a_flat_yaml_means_the_same) {
  const ParsedDeck parsed = parse_yaml(
      "### train\nstage: sft\nlearning_rate: 3e-6\nnum_train_epochs: 2\nbf16: true\n"
      "report_to: none  # choices\nmax_samples: null\nsequence_parallel: false\n"
      "enable_thinking: ~\n");
  BOOST_TEST(parsed.deck.optimizer.learning_rate == 3e-6);
  BOOST_TEST(parsed.deck.model.dtype == "bfloat16");
  BOOST_TEST(!parsed.deck.data.enable_thinking.has_value());
  BOOST_TEST(to_string(parsed.origins.at("dtype")) == "deck (run.yaml:5)");
}

BOOST_AUTO_TEST_CASE(content_decides_where_the_ending_does_not) {
  BOOST_TEST(parse("# c\nseed: 4\n", {}, "deck").deck.train.seed == 4);
  BOOST_TEST(parse("---\nseed: 4\n", {}, "deck").deck.train.seed == 4);
  BOOST_TEST(parse("# a: b\n[train]\nseed = 4\n", {}, "deck").deck.train.seed == 4);
  BOOST_TEST(parse("output_dir = a:b\nseed = 4\n", {}, "deck").deck.train.seed == 4);
}

BOOST_AUTO_TEST_CASE(lists_come_in_both_forms) {
  const auto expected = std::vector<std::string>{"identity", "alpaca_en_demo"};
  for (const char* text :
       {"dataset: identity,alpaca_en_demo\n", "dataset: [identity, alpaca_en_demo]\n",
        "dataset:\n  - identity\n  - alpaca_en_demo\n"}) {
    BOOST_TEST(parse_yaml(text).deck.data.dataset == expected,
               boost::test_tools::per_element());
  }
  BOOST_TEST((parse_yaml("report_to: [none]\n").deck.log.report_to == ReportTo::kNone));
  CHECK_HAS(fault_in_yaml("seed: [1, 2]\n"), "run.yaml:1", "list of 2 items");
}

BOOST_AUTO_TEST_CASE(null_leaves_the_default) {
  const ParsedDeck parsed = parse_yaml(
      "resume_from_checkpoint: null\nrecompute_granularity: null\neval_dataset: null\n"
      "seed:\n");
  BOOST_TEST(parsed.deck.model.resume_from_checkpoint == "auto");
  BOOST_TEST(parsed.deck.train.seed == 42);
  BOOST_TEST(parsed.deck.data.eval_dataset.empty());
  BOOST_TEST(to_string(parsed.origins.at("seed")) == "default");
  BOOST_TEST(parse_yaml("seed: 1\n", {"seed=null"}).deck.train.seed == 42);
}

BOOST_AUTO_TEST_CASE(faults_have_lines) {
  CHECK_HAS(fault_in_yaml("seed: 1\nleraning_rate: 2\n"),
            "run.yaml:2: key leraning_rate is unknown", "did you mean learning_rate");
  CHECK_HAS(fault_in_yaml("seed: 1\n\nseed: 2\n"), "run.yaml:3: key seed is given twice",
            "first at run.yaml:1");
  CHECK_HAS(fault_in_yaml("seed: 1.5\n"), "run.yaml:1: seed = 1.5", "whole number");
  CHECK_HAS(fault_in_yaml("a: b: c\n"), "run.yaml:1", "not valid YAML");
  CHECK_HAS(fault_in_yaml("seed: 1\n- x\n"), "run.yaml:2");
  CHECK_HAS(fault_in_yaml("- seed\n"), "run.yaml:1", "not a list of keys");
  CHECK_HAS(fault_in_yaml("train:\n  seed: 1\n"), "run.yaml:1", "flat");
  CHECK_HAS(fault_in_yaml("default_system: {a: [1]}\n"), "run.yaml:1", "flat");
  CHECK_HAS(fault_in_yaml("seed: 1\n---\nseed: 2\n"), "second YAML document");
  CHECK_HAS(fault_in_yaml("? [a]\n: 1\n"), "plain word");
  CHECK_HAS(fault_in_yaml("seed: &a 1\ndata_seed: *a\n"), "run.yaml:2", "aliases");
}

BOOST_AUTO_TEST_CASE(quoted_null_is_a_text) {
  BOOST_TEST(parse_yaml("default_system: \"null\"\n").deck.data.default_system.value() ==
             "null");
  BOOST_TEST(!parse_yaml("default_system: null\n").deck.data.default_system.has_value());
  BOOST_TEST(parse_yaml("default_system: \"\"\n").deck.data.default_system.value() == "");
}

BOOST_AUTO_TEST_CASE(quoted_none_is_a_name) {
  BOOST_TEST(parse_yaml("dataset: \"none\"\n").deck.data.dataset.size() == 1u);
  BOOST_TEST(parse_yaml("dataset: none\n").deck.data.dataset.empty());
}

BOOST_AUTO_TEST_CASE(scheduler_arguments_are_a_mapping) {
  const ParsedDeck absolute = parse_yaml(
      "lr_scheduler_type: cosine_with_min_lr\nlr_scheduler_kwargs:\n  min_lr: 1e-6\n");
  BOOST_TEST(absolute.deck.optimizer.min_lr.value() == 1e-6);
  BOOST_TEST(to_string(absolute.origins.at("min_lr")) == "deck (run.yaml:2)");
  const ParsedDeck rate = parse_yaml(
      "lr_scheduler_type: cosine_with_min_lr\nlearning_rate: 1e-4\n"
      "lr_scheduler_kwargs: {min_lr_rate: 0.5}\n");
  BOOST_TEST(rate.deck.optimizer.min_lr.value() == 5e-5);
  CHECK_HAS(fault_in_yaml("lr_scheduler_kwargs: {num_cycles: 2}\n"), "run.yaml:1",
            "num_cycles", "min_lr_rate");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mtrain::config
