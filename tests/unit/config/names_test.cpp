// Names of other programs: translated, refused or without effect; and what is not built
// yet.
#include <fstream>
#include <set>

#include "aliases.hpp"
#include "key_table.hpp"
#include "known_names.hpp"
#include "not_built.hpp"
#include "support.hpp"

namespace mtrain::config {

BOOST_AUTO_TEST_SUITE(names_suite)

BOOST_AUTO_TEST_CASE(every_name_is_declared_once) {
  std::set<std::string> names;
  const auto declare = [&](const std::string& name) {
    BOOST_TEST(names.insert(name).second, name << " is declared twice");
  };
  for (const Key& key : all_keys()) declare(key.name);
  for (const Alias& alias : all_aliases()) declare(alias.name);
  for (const NameGroup& group : all_name_groups()) {
    for (const std::string& name : split(group.names, ' ')) declare(name);
  }
}

/// The names of reference_names.txt.
std::set<std::string> reference_names() {
  std::ifstream file(MTRAIN_SOURCE_DIR "/tests/unit/config/reference_names.txt");
  std::set<std::string> names;
  for (std::string line; std::getline(file, line);)
    if (!line.empty() && line.front() != '#') names.insert(line);
  return names;
}

/// What a deck of this one line leads to: the keys it sets, and the words said about it.
struct Fed {
  std::vector<std::string> keys;
  std::string said;
};
Fed fed(const std::string& name, const std::string& value) {
  Overrides overrides = needed();
  std::erase_if(overrides,
                [&](const auto& word) { return word.starts_with(name + "="); });
  try {
    const ParsedDeck parsed = parse_deck({"run.yaml", cat(name, ": ", value, "\n")},
                                         overrides, Purpose::kTrain);
    Fed result{{}, join(parsed.warnings, "\n")};
    for (const auto& [key, origin] : parsed.origins)
      if (origin.kind == Origin::Kind::kDeck) result.keys.push_back(key);
    return result;
  } catch (const UserError& error) {
    return {{}, error.what()};
  }
}

BOOST_AUTO_TEST_CASE(every_name_of_the_references_is_honoured_refused_or_warned_of) {
  const auto names = reference_names();
  BOOST_TEST(names.size() > 450u);
  std::set<std::string> aliases;
  for (const Alias& alias : all_aliases()) aliases.insert(alias.name);
  for (const std::string& name : names) {
    for (const char* value : {"1", "true", "some_text", "0.5", "{a: 1}"}) {
      const Fed result = fed(name, value);
      // An alias may be refused under the name of its key.
      const bool named = has(result.said, name) || aliases.contains(name);
      const bool accounted = !result.keys.empty() || (named && !result.said.empty());
      BOOST_TEST(accounted, name << ": " << value << " is ignored");
      BOOST_TEST(!has(result.said, "is unknown"), result.said);
    }
  }
}

BOOST_AUTO_TEST_CASE(own_keys_are_those_that_no_reference_has) {
  const auto names = reference_names();
  for (const Key& key : all_keys()) {
    BOOST_TEST(
        is_own(key.name) == !names.contains(key.name),
        key.name << ": list it in kOwnKeys (coming_from.cpp) or reference_names.txt");
  }
}

BOOST_AUTO_TEST_CASE(every_key_has_a_section_and_a_meaning) {
  std::set<std::string> sections;
  for (const SectionInfo& section : all_sections()) sections.insert(section.name);
  for (const Key& key : all_keys()) {
    BOOST_TEST(sections.count(key.section) == 1u, key.name);
    BOOST_TEST(!key.meaning.empty(), key.name);
    BOOST_TEST(key.text(default_deck()) == key.default_text, key.name);
  }
}

BOOST_AUTO_TEST_CASE(refused_names_say_what_to_write) {
  CHECK_HAS(fault_in("[train]\ndeepspeed = ds_z3_config.json\n"),
            "run.ini:2: deepspeed = ds_z3_config.json is not supported",
            "use_distributed_optimizer");
  CHECK_HAS(fault_in("fp16 = true\n"), "bf16 = true");
  CHECK_HAS(fault_in("neftune_noise_alpha: 5\n", {}, "run.yaml"), "run.yaml:1",
            "noise on embeddings");
  CHECK_HAS(fault_in("", {"tp=2"}), "command line: tp", "tensor_model_parallel_size");
  CHECK_HAS(fault_in("finetuning_type = lora\nlora_rank = 8\n"), "1 fault",
            "run.ini:1: finetuning_type = lora", "write finetuning_type = full");
}

BOOST_AUTO_TEST_CASE(refused_names_that_ask_for_nothing_pass) {
  const ParsedDeck parsed = parse_yaml(
      "fp16: false\ndeepspeed: null\nlabel_smoothing_factor: 0.0\n"
      "logging_strategy: steps\n");
  BOOST_TEST(parsed.warnings.size() == 4u);
  BOOST_TEST(warns(parsed, {"run.yaml:1", "fp16", "no effect"}));
}

BOOST_AUTO_TEST_CASE(an_override_switches_a_refused_name_off) {
  BOOST_TEST(warns(parse("deepspeed = x\n", {"deepspeed=null"}), {"command line"}));
}

BOOST_AUTO_TEST_CASE(names_without_effect_warn) {
  const ParsedDeck parsed = parse_yaml(
      "overwrite_cache: true\ndataloader_num_workers: 4\ntrust_remote_code: true\n"
      "ddp_timeout: 180000000\npreprocessing_num_workers: 16\n"
      "bias_activation_fusion: false\n");
  for (const char* name :
       {"overwrite_cache", "dataloader_num_workers", "trust_remote_code", "ddp_timeout",
        "preprocessing_num_workers", "bias_activation_fusion"}) {
    BOOST_TEST(warns(parsed, {"run.yaml:", name, "no effect"}), name);
  }
}

BOOST_AUTO_TEST_CASE(aliases_mean_keys) {
  const auto deck = [](const std::string& text) { return parse_yaml(text).deck; };
  BOOST_TEST(deck("micro_batch_size: 3\n").train.per_device_train_batch_size == 3);
  BOOST_TEST(!deck("disable_shuffling: true\n").data.shuffle);
  BOOST_TEST((deck("calculate_per_token_loss: false\n").train.loss_average ==
              LossAverage::kSampleMean));
  BOOST_TEST(deck("optim: adamw_torch\n").optimizer.optim == "adamw");
  BOOST_TEST(deck("optimizer: adam\n").optimizer.optim == "adamw");
  for (const char* no : {"\"no\"", "no", "false"})
    BOOST_TEST((deck(cat("save_strategy: ", no, "\n")).checkpoint.save_strategy ==
                Strategy::kNo));
  for (const char* name : {"eval_strategy", "evaluation_strategy"}) {
    const Deck epochs = deck(cat(name, ": epoch\n"));
    BOOST_TEST(epochs.train.do_eval);
    BOOST_TEST((epochs.log.eval_strategy == Strategy::kEpoch));
    BOOST_TEST(!deck(cat(name, ": no\n")).train.do_eval);
    // As the reference: an evaluation at the end.
    BOOST_TEST(deck(cat("do_eval: true\n", name, ": no\n")).train.do_eval);
  }
  BOOST_TEST(deck("exit_duration_in_mins: 90\n").train.max_time->seconds == 5400);
  BOOST_TEST(deck("warmup_steps: 0.1\n").optimizer.warmup_ratio == 0.1);
  BOOST_TEST(deck("bf16: true\n").model.dtype == "bfloat16");
  BOOST_TEST(warns(parse_yaml("bf16: false\n"), {"run.yaml:1", "float32"}));
}

// LLaMA-Factory's own keys; in its Megatron path recompute_granularity decides.
BOOST_AUTO_TEST_CASE(gradient_checkpointing_computes_again) {
  const auto granularity = [](const std::string& text) {
    return parse_yaml(text).deck.train.recompute_granularity;
  };
  using enum RecomputeGranularity;
  BOOST_TEST((granularity("gradient_checkpointing: true\n") == kFull));
  BOOST_TEST((granularity("disable_gradient_checkpointing: true\n") == kNone));
  const std::string both = "gradient_checkpointing: true\nrecompute_granularity: ";
  BOOST_TEST((granularity(both + "selective\n") == kSelective));
  BOOST_TEST(warns(parse_yaml(both + "selective\n"),
                   {"run.yaml:1", "recompute_granularity is given, and wins"}));
  for (const char* name : {"gradient_checkpointing", "disable_gradient_checkpointing"}) {
    const std::string off = cat(name, ": false\n");
    BOOST_TEST((granularity(off) == kNone));
    BOOST_TEST((granularity(off + "recompute_granularity: full\n") == kFull));
    BOOST_TEST(warns(parse_yaml(off), {"run.yaml:1", "leaves recompute_granularity"}));
  }
}

BOOST_AUTO_TEST_CASE(aliases_complain_at_their_own_line) {
  CHECK_HAS(fault_in("\nbf16 = maybe\n"), "run.ini:2: bf16 = maybe", "true");
  CHECK_HAS(fault_in("evaluation_strategy = best\n"), "run.ini:1: eval_strategy = best",
            "steps");
  CHECK_HAS(fault_in("micro_batch_size = 0\n"),
            "run.ini:1: per_device_train_batch_size = 0");
  CHECK_HAS(fault_in("optimizer = sgd\n"), "run.ini:1: optimizer = sgd", "adam");
  CHECK_HAS(fault_in("optim = sgd\n"), "run.ini:1: optim = sgd", "adamw");
}

BOOST_AUTO_TEST_CASE(the_command_line_wins_over_an_alias) {
  BOOST_TEST(parse("bf16 = true\n", {"dtype=float32"}).deck.model.dtype == "float32");
  BOOST_TEST(parse("dtype = float32\n", {"bf16=true"}).deck.model.dtype == "bfloat16");
}

BOOST_AUTO_TEST_CASE(the_list_of_what_is_not_built_fits_the_keys) {
  const Deck standard = default_deck();
  for (const NotBuilt& row : not_built()) {
    const Key* key = find_key(row.key);
    BOOST_REQUIRE_MESSAGE(key != nullptr, row.key);
    BOOST_TEST(!needs_missing(row, key->text(standard), key->default_text), row.key);
  }
}

BOOST_AUTO_TEST_CASE(not_built_rows_match_their_values) {
  const auto needs = [](const std::string& values, const std::string& text) {
    return needs_missing({"k", values, "c"}, text, "standard");
  };
  BOOST_TEST(needs("dpo", "dpo"));
  BOOST_TEST(!needs("dpo", "sft"));
  BOOST_TEST(needs("> 1", "2"));
  BOOST_TEST(!needs("> 1", "1"));
  BOOST_TEST(needs("!= concat", "interleave_over"));
  BOOST_TEST(!needs("!= concat", "concat"));
  BOOST_TEST(needs("*", "anything"));
  BOOST_TEST(!needs("*", "standard"));
  BOOST_TEST(needs("moe moe_act", "core_attn, moe"));
  BOOST_TEST(!needs("moe moe_act", "core_attn, mlp"));
}

BOOST_AUTO_TEST_CASE(what_is_not_built_is_refused_by_name) {
  for (const NotBuilt& row : not_built()) {
    if (row.key != "moe_router_dtype") continue;
    CHECK_HAS(fault_in("", {cat(row.key, "=", row.values)}), "command line", row.key,
              row.values, "not built yet");
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mtrain::config
