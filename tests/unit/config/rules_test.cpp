// The rules over several keys: each names the keys, their values, the lines and a way
// out.
#include "support.hpp"

namespace mtrain::config {

namespace {

/// Faults of a deck that is given nothing by the tests.
std::string bare_fault(const std::string& text, Purpose purpose = Purpose::kTrain) {
  return fault_of([&] { parse_deck({"run.ini", text}, {}, purpose); });
}

}  // namespace

BOOST_AUTO_TEST_SUITE(rules_suite)

BOOST_AUTO_TEST_CASE(model_data_and_output_are_needed) {
  CHECK_HAS(bare_fault(""), "3 faults in deck run.ini", "no model is given",
            "no training data are given", "no place for results", "output_dir = FOLDER");
  CHECK_HAS(bare_fault("", Purpose::kPrepare), "nothing to prepare",
            "no place for the token store");
}

BOOST_AUTO_TEST_CASE(preparing_needs_no_output_dir) {
  const ParsedDeck parsed =
      parse_deck({"run.ini",
                  "model_name_or_path = m\ndataset = a\ntokenized_path = t\n"
                  "template = qwen3_nothink\n"},
                 {}, Purpose::kPrepare);
  BOOST_TEST(parsed.deck.data.tokenized_path == "t");
}

BOOST_AUTO_TEST_CASE(weights_are_read_or_random) {
  CHECK_HAS(fault_in("[model]\nmodel_config = c.json\n"), "run.ini:2",
            "model_name_or_path and model_config", "remove one");
}

BOOST_AUTO_TEST_CASE(any_stage_can_be_prepared) {
  const std::string text =
      "model_name_or_path = m\ndataset = a\ntokenized_path = t\nstage = dpo\n";
  BOOST_TEST((parse_deck({"run.ini", text}, {}, Purpose::kPrepare).deck.train.stage ==
              Stage::kDpo));
}

BOOST_AUTO_TEST_CASE(some_data_keys_are_for_sft_only) {
  for (const char* key : {"neat_packing", "train_on_prompt", "mask_history"}) {
    CHECK_HAS(fault_in(cat("stage = pt\n", key, " = true\n")), "run.ini:2, run.ini:1",
              cat(key, " = true is for stage = sft only, but stage = pt"), "stage = sft");
  }
  CHECK_HAS(fault_in("mask_history = true\ntrain_on_prompt = true\n"),
            "run.ini:1, run.ini:2", "mask_history and train_on_prompt",
            "set one of them to false");
}

BOOST_AUTO_TEST_CASE(documents_are_packed_for_pretraining_only) {
  CHECK_HAS(fault_in("pt_packing = documents\nstage = sft\n"), "run.ini:1, run.ini:2",
            "pt_packing is for stage = pt only, but stage = sft");
  CHECK_HAS(fault_in("pt_packing = documents\nstage = pt\npacking = false\n"),
            "run.ini:1, run.ini:3", "fills rows, but packing = false");
}

BOOST_AUTO_TEST_CASE(a_balanced_step_has_a_mean_over_tokens) {
  CHECK_HAS(fault_in("balance_micro_batches = true\nloss_average = sample_mean\n"),
            "run.ini:1, run.ini:2", "over whose means", "loss_average = token");
  CHECK_HAS(fault_in("balance_micro_batches = true\ncompat = mca\n"), "run.ini:1",
            "over whose means");
}

BOOST_AUTO_TEST_CASE(probabilities_fit_the_datasets) {
  CHECK_HAS(fault_in("interleave_probs = 0.5, 0.5\n"), "run.ini:1",
            "mix_strategy = concat", "interleave_under");
  CHECK_HAS(fault_in("dataset = a, b, c\ninterleave_probs = 0.5, 0.5\n"),
            "run.ini:2, run.ini:1: interleave_probs has 2 items, but dataset has 3",
            "give 3 probabilities");
  CHECK_HAS(fault_in("interleave_probs = 0.5, 0.6\n"), "sum to 1.1");
}

BOOST_AUTO_TEST_CASE(evaluation_data_come_from_one_place) {
  CHECK_HAS(fault_in("val_size = 0.1\neval_dataset = e\n"), "run.ini:1, run.ini:2",
            "val_size = 0.1", "remove eval_dataset");
  CHECK_HAS(fault_in("val_size = 1.5\n"), "run.ini:1", "neither a share", "write 2");
  CHECK_HAS(bare_fault("do_eval = true\ndataset = a\n"), "run.ini:1: do_eval = true",
            "eval_dataset = NAME");
}

BOOST_AUTO_TEST_CASE(stages_are_needed_for_stage_keys) {
  CHECK_HAS(fault_in("virtual_pipeline_model_parallel_size = 2\n"), "run.ini:1",
            "virtual_pipeline_model_parallel_size = 2 needs",
            "pipeline_model_parallel_size = 2");
  CHECK_HAS(fault_in("num_layers_in_first_pipeline_stage = 2\n"),
            "num_layers_in_first_pipeline_stage = 2 needs more than one stage");
  CHECK_HAS(fault_in("pipeline_model_parallel_size = 2\n"
                     "account_for_loss_in_pipeline_split = true\n"
                     "num_layers_in_last_pipeline_stage = 3\n"),
            "run.ini:2, run.ini:3", "account_for_loss_in_pipeline_split", "= 3",
            "remove one");
  BOOST_TEST(warns(parse("account_for_loss_in_pipeline_split = true\n"),
                   {"run.ini:1", "no effect"}));
}

BOOST_AUTO_TEST_CASE(sequence_parallel_needs_tensor_parallel) {
  const ParsedDeck parsed = parse("sequence_parallel = true\n");
  BOOST_TEST(!parsed.deck.parallel.sequence_parallel);
  BOOST_TEST(
      warns(parsed, {"run.ini:1", "sequence_parallel", "tensor_model_parallel_size"}));
  BOOST_TEST(parse("sequence_parallel = true\ntensor_model_parallel_size = 2\n")
                 .deck.parallel.sequence_parallel);
}

BOOST_AUTO_TEST_CASE(param_gather_needs_its_companions) {
  CHECK_HAS(
      fault_in("overlap_param_gather = true\n"), "2 faults",
      "run.ini:1: overlap_param_gather = true needs use_distributed_optimizer = true",
      "write overlap_grad_reduce = true");
}

BOOST_AUTO_TEST_CASE(experts_keys_fit_each_other) {
  const std::string overlap = "overlap_moe_expert_parallel_comm = true\n";
  const ParsedDeck alone = parse(overlap);
  BOOST_TEST(warns(alone, {"run.ini:1", "expert_model_parallel_size = 1"}));
  BOOST_TEST(!alone.deck.parallel.overlap_moe_expert_parallel_comm);
  BOOST_TEST(parse(overlap + "expert_model_parallel_size = 2\n")
                 .deck.parallel.overlap_moe_expert_parallel_comm);
  const std::string pad = "moe_pad_expert_input_to_capacity = true\n";
  CHECK_HAS(fault_in(pad), "run.ini:1", "write moe_expert_capacity_factor = 1");
  BOOST_TEST(warns(parse(pad + "moe_expert_capacity_factor = 1.5\n"),
                   {"run.ini:1", "no effect"}));
  CHECK_HAS(fault_in("moe_expert_capacity_factor = 0\n"), "moe_expert_capacity_factor");
}

BOOST_AUTO_TEST_CASE(recomputation_keys_fit_the_granularity) {
  BOOST_TEST(warns(parse("recompute_num_layers = 2\n"), {"run.ini:1", "= none"}));
  BOOST_TEST(warns(parse("recompute_granularity = full\nrecompute_modules = mlp\n"),
                   {"run.ini:2", "= full"}));
  CHECK_HAS(fault_in("recompute_granularity = selective\nrecompute_modules = []\n"),
            "recompute_modules is empty", "core_attn");
  const Train train = parse("recompute_granularity = full\n").deck.train;
  BOOST_TEST((train.recompute_method == RecomputeMethod::kUniform));
  BOOST_TEST(train.recompute_num_layers == 1);
}

BOOST_AUTO_TEST_CASE(warmup_fits_the_schedule) {
  BOOST_TEST(warns(parse("lr_scheduler_type = constant\nwarmup_ratio = 0.1\n"),
                   {"run.ini:2", "constant_with_warmup"}));
  BOOST_TEST(warns(parse("warmup_steps = 5\nwarmup_ratio = 0.1\n"),
                   {"run.ini:2", "warmup_steps = 5"}));
  CHECK_HAS(fault_in("max_steps = 10\nwarmup_steps = 20\n"), "run.ini:2, run.ini:1",
            "warmup_steps = 20 is longer", "write warmup_steps = 10");
}

BOOST_AUTO_TEST_CASE(min_lr_fits_the_schedule) {
  CHECK_HAS(fault_in("lr_scheduler_type = cosine_with_min_lr\n"), "run.ini:1",
            "needs min_lr", "min_lr = 5e-06");
  CHECK_HAS(fault_in("lr_scheduler_type = cosine_with_min_lr\nmin_lr = 1\n"), "run.ini:2",
            "min_lr = 1 is above learning_rate = 5e-05");
  BOOST_TEST(warns(parse("min_lr = 1e-6\n"), {"run.ini:1", "cosine_with_min_lr"}));
}

BOOST_AUTO_TEST_CASE(stable_decay_needs_its_length) {
  CHECK_HAS(fault_in("lr_scheduler_type = warmup_stable_decay\nmax_steps = 50\n"),
            "needs lr_wsd_decay_iters", "lr_wsd_decay_iters = 5");
  CHECK_HAS(fault_in("lr_scheduler_type = warmup_stable_decay\nmax_steps = 50\n"
                     "warmup_steps = 45\nlr_wsd_decay_iters = 10\n"),
            "run.ini:4, run.ini:3, run.ini:2", "exceed max_steps = 50",
            "lr_wsd_decay_iters = 5");
  BOOST_TEST(warns(parse("lr_wsd_decay_iters = 10\n"), {"run.ini:1", "linear"}));
}

BOOST_AUTO_TEST_CASE(keys_without_effect_say_so) {
  BOOST_TEST(
      warns(parse("max_steps = 5\nnum_train_epochs = 2\n"), {"run.ini:2", "wins"}));
  BOOST_TEST(warns(parse("save_steps = 0\nsave_total_limit = 2\n"), {"run.ini:2"}));
  BOOST_TEST(warns(parse("pref_beta = 0.2\n"), {"run.ini:1", "stage = dpo"}));
  BOOST_TEST(warns(parse("shuffle = false\ndata_seed = 2\n"), {"run.ini:2"}));
  BOOST_TEST(warns(parse("init_seed = 2\n"), {"run.ini:1", "weights are read"}));
  BOOST_TEST(warns(parse("eval_steps = 2\n"), {"run.ini:1", "do_eval"}));
  BOOST_TEST(parse("").warnings.empty());
}

BOOST_AUTO_TEST_CASE(preference_keys_belong_to_their_losses) {
  const std::string dpo = "stage = dpo\n";
  BOOST_TEST(parse(dpo + "pref_ftx = 0.1\ndpo_label_smoothing = 0.1\nref_model = m\n")
                 .warnings.empty());
  BOOST_TEST(warns(parse("pref_ftx = 0.1\n"), {"run.ini:1", "stage = dpo"}));
  BOOST_TEST(warns(parse(dpo + "simpo_gamma = 1\n"), {"run.ini:2", "simpo has"}));
  BOOST_TEST(warns(parse(dpo + "pref_loss = ipo\ndpo_label_smoothing = 0.1\n"),
                   {"run.ini:3", "sigmoid has"}));
  BOOST_TEST(warns(parse(dpo + "pref_loss = orpo\nref_model = m\n"),
                   {"run.ini:3", "compares with no other model"}));
  BOOST_TEST(
      warns(parse(dpo + "loss_average = sample_mean\n"), {"run.ini:2", "over pairs"}));
}

BOOST_AUTO_TEST_CASE(compatibility_sets_order_and_average) {
  const Deck deck = parse("compat = mca\n").deck;
  BOOST_TEST(!deck.data.shuffle);
  BOOST_TEST((deck.train.loss_average == LossAverage::kSampleMean));
  BOOST_TEST(parse("").deck.data.shuffle);
  CHECK_HAS(fault_in("compat = mca\nshuffle = true\nloss_average = token\n"), "2 faults",
            "compat = mca means shuffle = false",
            "loss_average = sample_mean or compat = none");
}

BOOST_AUTO_TEST_CASE(resuming_follows_overwriting) {
  BOOST_TEST(parse("").deck.model.resume_from_checkpoint == "auto");
  const std::string overwrite = "overwrite_output_dir = true\n";
  BOOST_TEST(parse(overwrite).deck.model.resume_from_checkpoint == "none");
  BOOST_TEST(parse(overwrite + "resume_from_checkpoint = auto\n")
                 .deck.model.resume_from_checkpoint == "auto");
}

BOOST_AUTO_TEST_CASE(rules_stay_quiet_about_values_that_did_not_parse) {
  CHECK_HAS(fault_in("overlap_param_gather = true\nuse_distributed_optimizer = x\n"
                     "overlap_grad_reduce = true\n"),
            "1 fault in");
}

BOOST_AUTO_TEST_CASE(transports_fit_the_device) {
  CHECK_HAS(fault_in("backend = nccl\ndevice = cpu\n"), "run.ini:1, run.ini:2", "nccl",
            "backend = mpi");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mtrain::config
