// The resolved deck reads back; the documentation is up to date and complete.
#include <pwd.h>

#include <fstream>

#include "key_table.hpp"
#include "known_names.hpp"
#include "mtrain/config/command_line.hpp"
#include "support.hpp"

namespace mtrain::config {

namespace {

const char* const kOdd =
    "[data]\ndefault_system = \"a \\u0023 b\\nc\"\ndataset = [\"a,b\", \"c\"]\n"
    "enable_thinking = null\n[optimizer]\nlearning_rate = 0.1234567890123456\n"
    "min_lr = 1e-300\nlr_scheduler_type = cosine_with_min_lr\n"
    "[parallel]\ntensor_model_parallel_size = 4\nsequence_parallel = yes\n"
    "[train]\nrecompute_granularity = selective\nrecompute_modules = mlp, core_attn\n";

}  // namespace

BOOST_AUTO_TEST_SUITE(dump_suite)

BOOST_AUTO_TEST_CASE(a_dump_reads_back) {
  const ParsedDeck first = parse(kOdd);
  const ParsedDeck second =
      parse_deck({"dump.ini", dump_deck(first)}, {}, Purpose::kTrain);
  for (const Key& key : all_keys()) {
    BOOST_TEST(key.text(first.deck) == key.text(second.deck), key.name);
  }
  BOOST_TEST(second.deck.data.default_system.value() == "a # b\nc");
  BOOST_TEST(second.deck.data.dataset.front() == "a,b");
  BOOST_TEST(second.deck.optimizer.learning_rate == 0.1234567890123456);
}

BOOST_AUTO_TEST_CASE(a_home_folder_is_put_in_front_of_every_path) {
  ParsedDeck parsed = parse("");
  int paths = 0;
  for (const Key& key : all_keys()) {
    if (!key.path) continue;
    ++paths;
    const std::vector<std::pair<std::string, std::string>> cases = {
        {"~/a~/b", "/h/me/a~/b"},
        {"~", "/h/me"},
        {"a/~/b", "a/~/b"},
        {"~root/x", cat(getpwnam("root")->pw_dir, "/x")},
        {"./~/x", "./~/x"},
        {"auto", "auto"},
        {"", ""},
        {"~nobody9/x", "~nobody9/x"}};
    for (const auto& [given, expected] : cases) {
      key.path(parsed.deck) = given;
      expand_home(parsed, "/h/me/");
      BOOST_TEST(key.path(parsed.deck) == expected, key.name << " = " << given);
    }
  }
  BOOST_TEST(paths == 9);
}

BOOST_AUTO_TEST_CASE(a_dump_of_any_single_value_reads_back) {
  for (const Key& key : all_keys()) {
    ParsedDeck parsed = parse("");
    std::optional<Fault> fault;
    key.assign(raw_from_text(key.default_text, fault), parsed.deck);
    BOOST_TEST(!fault.has_value(), key.name);
    BOOST_TEST(key.text(parsed.deck) == key.default_text, key.name);
  }
}

BOOST_AUTO_TEST_CASE(a_dump_has_every_key_and_its_origin) {
  const std::string dump = dump_deck(parse("[train]\nseed = 9\n"));
  for (const Key& key : all_keys()) CHECK_HAS(dump, "\n" + key.name + " = ");
  CHECK_HAS(dump, "# deck (run.ini:2)", "# command line", "# default", "[optimizer]");
}

BOOST_AUTO_TEST_CASE(a_summary_has_what_differs_from_defaults) {
  const std::string summary = deck_summary(parse("[train]\nseed = 9\n"));
  CHECK_HAS(summary, "[train]\n", "seed = 9 ", "# deck (run.ini:2)", "--dump-deck");
  BOOST_TEST(!has(summary, "# default"));
  BOOST_TEST(!has(summary, "adam_beta1"));
}

BOOST_AUTO_TEST_CASE(a_dump_keeps_a_fixed_learning_rate_floor) {
  const ParsedDeck first = parse_yaml(
      "lr_scheduler_type: cosine_with_min_lr\nlr_scheduler_kwargs: {min_lr_rate: 0.1}\n");
  const ParsedDeck second =
      parse_deck({"dump.ini", dump_deck(first)}, {}, Purpose::kTrain);
  BOOST_TEST(second.deck.optimizer.min_lr.value() == first.deck.optimizer.min_lr.value());
}

BOOST_AUTO_TEST_CASE(the_generated_pages_are_up_to_date) {
  const auto page = [](const std::string& name) {
    std::ifstream file(std::string(MTRAIN_SOURCE_DIR "/docs/") + name);
    return std::string((std::istreambuf_iterator<char>(file)), {});
  };
  BOOST_TEST((page("deck.md") == deck_reference_markdown()),
             "docs/deck.md is old: run ./mtrain --dump-reference > docs/deck.md");
  BOOST_TEST((page("coming-from.md") == coming_from_markdown()),
             "docs/coming-from.md is old: run ./mtrain --dump-coming-from > "
             "docs/coming-from.md");
}

BOOST_AUTO_TEST_CASE(the_generated_pages_have_every_name) {
  const std::string deck = deck_reference_markdown(), names = coming_from_markdown();
  for (const Key& key : all_keys()) {
    CHECK_HAS(deck, "| `" + key.name + "` |");
    CHECK_HAS(names, "| `" + key.name + "` |");
  }
  for (const NameGroup& group : all_name_groups()) {
    for (const std::string& name : split(group.names, ' '))
      CHECK_HAS(names, "| `" + name + "` |");
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mtrain::config
