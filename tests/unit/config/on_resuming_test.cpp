// What a changed key means at resuming: every key says it, and two decks are compared.
#include "mtrain/config/on_resuming.hpp"

#include <map>

#include "key_table.hpp"
#include "support.hpp"

namespace mtrain::config {

namespace {

/// Key -> effect of what differs.
std::map<std::string, OnResuming> compare(const std::string& before,
                                          const std::string& after) {
  std::map<std::string, OnResuming> found;
  for (const auto& change : changes(parse(before).deck, parse(after).deck))
    found[change.key] = change.rule.effect;
  return found;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(on_resuming_suite)

BOOST_AUTO_TEST_CASE(every_key_says_what_its_change_means) {
  for (const Key& key : all_keys()) {
    BOOST_TEST_CONTEXT(key.name) {
      const ResumeRule& rule = resume_rule(key.name);
      const bool trains =
          rule.effect == OnResuming::kTraining || rule.effect == OnResuming::kPath;
      BOOST_TEST(rule.meaning.empty() == !trains);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_stored_deck_reads_back) {
  const ParsedDeck parsed = parse(
      "[train]\nseed = 7\n[optimizer]\nlearning_rate = 0.1234567890123456\n"
      "[data]\ndefault_system = \"a \\u0023 b\"\n");
  const auto stored = stored_deck(dump_deck(parsed));
  BOOST_REQUIRE(stored.has_value());
  BOOST_TEST(changes(*stored, parsed.deck).empty());
  // Keys of another version, and values it no longer takes, are left out.
  const auto other = stored_deck(
      "[train]\nkey_of_tomorrow = 3\nseed = 7 # deck (a.ini:1)\nmax_steps = -8\n");
  BOOST_REQUIRE(other.has_value());
  BOOST_TEST(other->train.seed == 7);
  BOOST_TEST(other->train.max_steps == -1);
  BOOST_TEST(!stored_deck("# made by mconvert from-hf\n").has_value());
  BOOST_TEST(!stored_deck("").has_value());
}

BOOST_AUTO_TEST_CASE(what_differs_is_listed_with_its_values) {
  const auto found = changes(parse("seed = 1\n").deck, parse("seed = 2\n").deck);
  BOOST_REQUIRE(found.size() == 1u);
  BOOST_TEST(to_string(found[0]) == "seed 1 -> 2");
  const auto empty = changes(parse("").deck, parse("template = qwen3\n").deck);
  BOOST_TEST(to_string(empty.at(0)) == "template \"\" -> qwen3");
}

BOOST_AUTO_TEST_CASE(effects) {
  using enum OnResuming;
  const auto effect = [](const std::string& before, const std::string& after) {
    const auto found = compare(before, after);
    BOOST_REQUIRE_MESSAGE(found.size() == 1u, before << " and " << after);
    return found.begin()->second;
  };
  BOOST_TEST((effect("", "stage = pt\n") == kTraining));
  BOOST_TEST((effect("", "learning_rate = 1\n") == kTraining));
  BOOST_TEST((effect("", "save_steps = 3\n") == kHarmless));
  BOOST_TEST((effect("", "tensor_model_parallel_size = 2\n") == kHarmless));
  BOOST_TEST((effect("", "max_steps = 2\n") == kLength));
  BOOST_TEST((effect("", "gradient_accumulation_steps = 2\n") == kBatch));
  BOOST_TEST((effect("", "max_time = 1:00:00\n") == kSilent));
  // The seed itself is what the order's seed is by default.
  BOOST_TEST((effect("", "data_seed = 42\n") == kHarmless));
  BOOST_TEST((effect("", "data_seed = 43\n") == kTraining));
  // No template but one keeps thoughts by itself.
  BOOST_TEST((effect("", "preserve_thinking = false\n") == kHarmless));
  BOOST_TEST((effect("", "preserve_thinking = true\n") == kTraining));
  BOOST_TEST((effect("template = qwen3_8\n",
                     "template = qwen3_8\npreserve_thinking = false\n") == kTraining));
  // Preferences concern stage dpo alone.
  BOOST_TEST((effect("", "pref_beta = 0.2\n") == kHarmless));
  BOOST_TEST((effect("stage = dpo\n", "stage = dpo\npref_beta = 0.2\n") == kTraining));
}

BOOST_AUTO_TEST_CASE(a_folder_that_moved_is_the_same) {
  const auto with_model = [](const std::string& path) {
    return parse_deck({"run.ini", ""},
                      {"model_name_or_path=" + path, "tokenized_path=t", "output_dir=o"},
                      Purpose::kTrain)
        .deck;
  };
  const Deck before = with_model("/scratch/Qwen3-0.6B/");
  BOOST_TEST((changes(before, with_model("/data/Qwen3-0.6B")).at(0).rule.effect ==
              OnResuming::kHarmless));
  BOOST_TEST((changes(before, with_model("/scratch/Qwen3-1.7B")).at(0).rule.effect ==
              OnResuming::kTraining));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mtrain::config
