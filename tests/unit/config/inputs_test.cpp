// The decks the repository ships, and LLaMA-Factory's own keys as its users write them.
#include "support.hpp"

namespace mtrain::config {

namespace {

DeckText shipped(const std::string& name) {
  return read_deck_file(std::string(MTRAIN_SOURCE_DIR) + "/inputs/" + name);
}

// The keys of a full fine-tuning and of a mixture-of-experts run, as written for the
// reference.
const char* const kFull =
    "model_name_or_path: models/m\ntrust_remote_code: true\nstage: sft\ndo_train: true\n"
    "finetuning_type: full\ndataset: identity,alpaca_en_demo\ntemplate: qwen3_nothink\n"
    "cutoff_len: 2048\nmax_samples: 1000\noverwrite_cache: true\n"
    "preprocessing_num_workers: 16\ndataloader_num_workers: 4\noutput_dir: saves/m\n"
    "logging_steps: 10\nsave_steps: 500\nplot_loss: true\noverwrite_output_dir: true\n"
    "save_only_model: false\nreport_to: none\nper_device_train_batch_size: 1\n"
    "gradient_accumulation_steps: 2\nlearning_rate: 1.0e-5\nnum_train_epochs: 3.0\n"
    "lr_scheduler_type: cosine\nwarmup_ratio: 0.1\nbf16: true\nddp_timeout: 180000000\n"
    "resume_from_checkpoint: null\n";
const char* const kParallel =
    "tensor_model_parallel_size: 1\nsequence_parallel: false\n"
    "pipeline_model_parallel_size: 4\nbias_activation_fusion: true\n"
    "apply_rope_fusion: true\nuse_distributed_optimizer: true\noverlap_param_gather: "
    "true\n"
    "overlap_grad_reduce: true\nmoe_grouped_gemm: true\n"
    "moe_token_dispatcher_type: alltoall\nrecompute_granularity: full\n";

}  // namespace

BOOST_AUTO_TEST_SUITE(inputs_suite)

BOOST_AUTO_TEST_CASE(the_dense_deck_is_valid) {
  const ParsedDeck parsed = parse_deck(shipped("qwen3_full.ini"), {}, Purpose::kTrain);
  validate_layout(parsed.deck, 8);
  BOOST_TEST(data_parallel_size(parsed.deck, 8) == 2);
  BOOST_TEST(parsed.deck.parallel.sequence_parallel);
}

BOOST_AUTO_TEST_CASE(the_preference_deck_is_valid) {
  const ParsedDeck parsed = parse_deck(shipped("qwen3_dpo.ini"), {}, Purpose::kTrain);
  validate_layout(parsed.deck, 8);
  BOOST_TEST((parsed.deck.train.stage == Stage::kDpo));
}

BOOST_AUTO_TEST_CASE(the_moe_deck_is_valid) {
  const ParsedDeck parsed =
      parse_deck(shipped("qwen3_moe_full.ini"), {}, Purpose::kTrain);
  validate_layout(parsed.deck, 8);
  BOOST_TEST(data_parallel_size(parsed.deck, 8) == 2);
}

BOOST_AUTO_TEST_CASE(a_flat_reference_deck_passes) {
  const ParsedDeck parsed =
      parse_deck({"lf.yaml", std::string(kFull) + kParallel}, {}, Purpose::kTrain);
  validate_layout(parsed.deck, 8);
  BOOST_TEST(parsed.deck.model.dtype == "bfloat16");
  BOOST_TEST(parsed.deck.model.resume_from_checkpoint == "auto");
  BOOST_TEST((parsed.deck.train.recompute_granularity == RecomputeGranularity::kFull));
  for (const char* name : {"overwrite_cache", "ddp_timeout", "trust_remote_code"}) {
    BOOST_TEST(warns(parsed, {name}), name);
  }
}

BOOST_AUTO_TEST_CASE(a_flat_moe_deck_passes) {
  const std::string text =
      std::string(kFull) + kParallel + "expert_model_parallel_size: 2\n";
  const ParsedDeck parsed = parse_deck({"lf.yaml", text}, {}, Purpose::kTrain);
  BOOST_TEST(parsed.deck.parallel.expert_model_parallel_size == 2);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mtrain::config
