// INI decks, overrides, origins, and faults with their lines.
#define BOOST_TEST_MODULE config
#include "mtrain/base/timer.hpp"
#include "support.hpp"

namespace mtrain::config {

BOOST_AUTO_TEST_SUITE(parse_suite)

BOOST_AUTO_TEST_CASE(an_ini_deck_sets_its_keys) {
  const ParsedDeck parsed = parse(
      "# a comment\n[train]\nstage = pt   # another\nmax_steps=7\n\n[optimizer]\r\n"
      "learning_rate = 1.0e-4\r\n[data]\nenable_thinking = null\n");
  BOOST_TEST((parsed.deck.train.stage == Stage::kPt));
  BOOST_TEST(parsed.deck.train.max_steps == 7);
  BOOST_TEST(parsed.deck.optimizer.learning_rate == 1e-4);
  BOOST_TEST(!parsed.deck.data.enable_thinking.has_value());
}

BOOST_AUTO_TEST_CASE(defaults_are_the_references) {
  const Deck deck = default_deck();
  BOOST_TEST(deck.optimizer.learning_rate == 5e-5);
  BOOST_TEST(deck.optimizer.adam_beta2 == 0.999);
  BOOST_TEST(deck.optimizer.max_grad_norm == 1.0);
  BOOST_TEST(deck.train.num_train_epochs == 3.0);
  BOOST_TEST(deck.train.per_device_train_batch_size == 8);
  BOOST_TEST(deck.train.seed == 42);
  BOOST_TEST(deck.data.cutoff_len == 2048);
  BOOST_TEST(deck.data.shuffle);
  BOOST_TEST(deck.checkpoint.save_steps == 500);
  BOOST_TEST((deck.optimizer.lr_scheduler_type == LrScheduler::kLinear));
}

BOOST_AUTO_TEST_CASE(origins_are_kept) {
  const ParsedDeck parsed =
      parse("[train]\nseed = 1\nmax_steps = 2\n", {"train.max_steps=3"});
  BOOST_TEST(to_string(parsed.origins.at("seed")) == "deck (run.ini:2)");
  BOOST_TEST(to_string(parsed.origins.at("max_steps")) == "command line");
  BOOST_TEST(to_string(parsed.origins.at("adam_beta1")) == "default");
  BOOST_TEST(parsed.deck.train.max_steps == 3);
}

BOOST_AUTO_TEST_CASE(the_model_config_is_an_origin_too) {
  ParsedDeck parsed = parse("");
  const Origin origin{Origin::Kind::kModelConfig, "config.json"};
  set_value(parsed, "moe_aux_loss_coeff", "0.001", origin);
  BOOST_TEST(parsed.deck.moe.moe_aux_loss_coeff == 0.001);
  BOOST_TEST(to_string(parsed.origins.at("moe_aux_loss_coeff")) ==
             "model config (config.json)");
  CHECK_HAS(fault_of([&] { set_value(parsed, "moe_aux_loss_coeff", "-1", origin); }),
            "config.json", "moe_aux_loss_coeff = -1", "0 <= x");
}

BOOST_AUTO_TEST_CASE(unknown_keys_name_the_nearest) {
  CHECK_HAS(fault_in("\n[parallel]\ntensor_model_paralel_size = 2\n"),
            "run.ini:3: key tensor_model_paralel_size is unknown",
            "did you mean tensor_model_parallel_size in [parallel]?");
  CHECK_HAS(fault_in("", {"learning_rat=1"}), "command line", "learning_rat is unknown",
            "did you mean learning_rate in [optimizer]?");
  CHECK_HAS(fault_in("qqqqqqqq = 1"), "run.ini:1: key qqqqqqqq is unknown", "--help");
}

BOOST_AUTO_TEST_CASE(a_key_belongs_to_one_section) {
  CHECK_HAS(fault_in("[train]\nlearning_rate = 1\n"),
            "run.ini:2: key learning_rate is in [train]", "move it to [optimizer]");
  CHECK_HAS(fault_in("", {"train.learning_rate=1"}), "move it to [optimizer]");
  CHECK_HAS(fault_in("[trian]\nseed = 1\n"), "run.ini:1", "section [trian] is unknown",
            "did you mean [train]?");
  BOOST_TEST(parse("seed = 3\n").deck.train.seed == 3);
}

BOOST_AUTO_TEST_CASE(a_key_is_given_once) {
  CHECK_HAS(fault_in("[train]\nseed = 1\nseed = 2\n"),
            "run.ini:3: key seed is given twice", "first at run.ini:2");
  CHECK_HAS(fault_in("", {"seed=1", "seed=1"}), "command line: key seed is given twice");
  CHECK_HAS(fault_in("[model]\ndtype = float32\nbf16 = true\n"),
            "run.ini:3: key dtype is given twice");
}

BOOST_AUTO_TEST_CASE(values_are_checked) {
  CHECK_HAS(fault_in("[train]\nmax_steps = 3x\n"),
            "run.ini:2: max_steps = 3x is not a whole");
  CHECK_HAS(fault_in("[parallel]\npipeline_model_parallel_size = 0\n"), "run.ini:2",
            "pipeline_model_parallel_size = 0 must be 1 <= x <= 65536",
            "nearest valid value is 1");
  CHECK_HAS(fault_in("[data]\ntemplate = qwen3_nothnk\n"), "run.ini:2",
            "did you mean qwen3_nothink?");
}

BOOST_AUTO_TEST_CASE(lines_must_have_a_form) {
  CHECK_HAS(fault_in("[train]\njust words\n"), "run.ini:2", "just words", "key = value");
  CHECK_HAS(fault_in("[train\n"), "run.ini:1");
  CHECK_HAS(fault_in("", {"words"}), "command line", "key=value");
  CHECK_HAS(fault_in("[data]\ndefault_system = \"a \\q\"\n"), "run.ini:2", "quoted");
}

BOOST_AUTO_TEST_CASE(all_faults_come_at_once) {
  const std::string text =
      "[train]\nmax_steps = many\nsead = 1\n[optimizer]\nadam_beta1 = 2\nseed = 4\n"
      "[data]\nmask_history = true\ntrain_on_prompt = true\n[model]\nfp16 = true\n";
  const std::string fault = fault_in(text, {"warmup_ratio=3"});
  CHECK_HAS(fault, "faults in deck run.ini", "run.ini:2: max_steps",
            "run.ini:3: key sead", "run.ini:5: adam_beta1", "run.ini:6: key seed",
            "run.ini:8, run.ini:9: mask_history and train_on_prompt", "run.ini:11: fp16",
            "command line: warmup_ratio = 3");
}

BOOST_AUTO_TEST_CASE(a_byte_order_mark_is_skipped) {
  BOOST_TEST(parse("\xef\xbb\xbf[train]\nseed = 5\n").deck.train.seed == 5);
}

BOOST_AUTO_TEST_CASE(the_last_line_needs_no_end) {
  BOOST_TEST(parse("[train]\nseed = 5").deck.train.seed == 5);
}

BOOST_AUTO_TEST_CASE(missing_decks_are_user_faults) {
  CHECK_HAS(fault_of([] { read_deck_file("/nonexistent/run.ini"); }),
            "/nonexistent/run.ini");
  CHECK_HAS(fault_of([] { read_deck_file("/"); }), "/");
  BOOST_TEST(
      has(read_deck_file(MTRAIN_SOURCE_DIR "/inputs/qwen3_full.ini").text, "stage"));
}

// Anything that is multiplied, narrowed or counted with.
BOOST_AUTO_TEST_CASE(numbers_beyond_what_is_computed_with_are_refused) {
  for (const char* line : {"num_train_epochs = 1e300",
                           "num_train_epochs = 0",
                           "save_total_limit = 4294967297",
                           "per_device_train_batch_size = 4294967296",
                           "max_steps = 9223372036854775807",
                           "gradient_accumulation_steps = 4294967296",
                           "cutoff_len = 9223372036854775807",
                           "tensor_model_parallel_size = 2147483647",
                           "warmup_steps = 9223372036854775807",
                           "lr_wsd_decay_iters = 9223372036854775807",
                           "val_size = 1e300",
                           "val_size = nan",
                           "seed = 4294967296",
                           "hang_timeout = 1e300",
                           "learning_rate = inf",
                           "learning_rate = 1e300",
                           "adam_epsilon = 1e-300",
                           "max_grad_norm = 1e300",
                           "moe_expert_capacity_factor = 1e300",
                           "pref_beta = 1e300",
                           "expert_model_parallel_size = 99999999999999999999",
                           "interleave_probs = 1e300, 0.5",
                           "eval_steps = 9223372036854775807"}) {
    const std::string text = line;
    CHECK_HAS(fault_in(text + "\n"), "run.ini:1: " + text);
  }
  BOOST_TEST(*parse("save_total_limit = 1000000000\n").deck.checkpoint.save_total_limit ==
             1000000000);
}

BOOST_AUTO_TEST_CASE(a_deck_of_nothing_but_faults_is_told_shortly_and_soon) {
  for (const char* name : {"run.ini", "run.yaml"}) {
    const bool yaml = std::string(name).ends_with("yaml");
    std::string deck;
    for (int i = 0; deck.size() < 900000; ++i)
      deck += cat("unknown_key_number_", i, yaml ? ": 1\n" : " = 1\n");
    const Stopwatch watch;
    const std::string fault = fault_in(deck, {}, name);
    BOOST_TEST(watch.seconds() < 10);  // under sanitizers, too; it took 15 without
    BOOST_TEST(fault.size() < 100000u);
    CHECK_HAS(fault, " faults in deck", "unknown_key_number_99 ", " more");
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mtrain::config
