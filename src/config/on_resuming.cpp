// Owns what a changed key means at resuming, and the comparison of two decks; called by
// the trainer when it goes on from a checkpoint.
#include "mtrain/config/on_resuming.hpp"

#include <map>

#include "entry.hpp"
#include "key_table.hpp"
#include "mtrain/base/error.hpp"

namespace mtrain::config {

namespace {

struct Row {
  OnResuming effect;
  std::string names;
  std::string meaning = {};
};

void add_harmless(std::vector<Row>& rows) {
  using enum OnResuming;
  const std::vector<Row> more = {
      {kSilent, "resume_from_checkpoint overwrite_output_dir accept_changes max_time"},
      {kHarmless,
       "tensor_model_parallel_size pipeline_model_parallel_size "
       "virtual_pipeline_model_parallel_size context_parallel_size "
       "expert_model_parallel_size expert_tensor_parallel_size sequence_parallel "
       "use_distributed_optimizer overlap_grad_reduce overlap_param_gather "
       "overlap_p2p_comm overlap_moe_expert_parallel_comm "
       "account_for_embedding_in_pipeline_split account_for_loss_in_pipeline_split "
       "num_layers_in_first_pipeline_stage num_layers_in_last_pipeline_stage backend "
       "device"},
      {kHarmless,
       "bias_activation_fusion apply_rope_fusion moe_grouped_gemm moe_permute_fusion "
       "attention_backend moe_token_dispatcher_type moe_pad_expert_input_to_capacity "
       "recompute_granularity recompute_method recompute_num_layers recompute_modules "
       "balance_micro_batches deterministic"},
      {kHarmless,
       "do_train do_eval eval_strategy eval_on_start eval_dataset on_nonfinite_step "
       "max_nonfinite_steps "
       "hang_timeout check_weight_hash_across_dp_replicas_interval"},
      {kHarmless,
       "output_dir save_strategy save_steps save_total_limit load_best_model_at_end "
       "metric_for_best_model greater_is_better save_hf_model save_only_model async_save "
       "logging_steps report_to plot_loss eval_steps log_per_rank profile_step"},
      // Where tokens come from: those themselves are compared, by their content.
      {kHarmless,
       "dataset_dir tokenized_path skip_malformed preprocessing_num_workers "
       "ref_log_probs"},
      // The folder they lead to stands in model_name_or_path.
      {kHarmless, "model_revision cache_dir"},
      {kLength, "num_train_epochs max_steps"},
      {kBatch, "per_device_train_batch_size gradient_accumulation_steps"},
  };
  rows.insert(rows.end(), more.begin(), more.end());
}

void add_training(std::vector<Row>& rows) {
  using enum OnResuming;
  const std::vector<Row> more = {
      {kPath, "model_name_or_path model_config ref_model", "the model"},
      {kTraining, "init_seed", "the weights a run begins with"},
      {kTraining, "dtype", "the precision of weights and activations"},
      {kTraining,
       "moe_aux_loss_coeff moe_z_loss_coeff moe_router_dtype "
       "moe_expert_capacity_factor",
       "how tokens are routed to experts"},
      {kTraining,
       "dataset max_samples val_size mix_strategy interleave_probs "
       "preprocessing_batch_size",
       "which samples are trained on"},
      {kTraining,
       "template cutoff_len packing neat_packing pt_packing train_on_prompt "
       "mask_history enable_thinking preserve_thinking reasoning_effort default_system "
       "tool_format compat_version",
       "the tokens of the samples"},
      {kTraining, "shuffle data_seed", "the order of the samples"},
      {kTraining, "seed", "the order of the samples, and which are kept for evaluation"},
      {kTraining, "stage finetuning_type loss_average compat", "what is minimised"},
      {kTraining, "optim adam_beta1 adam_beta2 adam_epsilon weight_decay max_grad_norm",
       "the optimizer's updates"},
      {kTraining,
       "learning_rate lr_scheduler_type warmup_steps warmup_ratio min_lr "
       "lr_wsd_decay_iters lr_wsd_decay_style",
       "the learning rate of the steps to come"},
      {kTraining, "pref_loss pref_beta pref_ftx dpo_label_smoothing simpo_gamma",
       "the preference loss"},
  };
  rows.insert(rows.end(), more.begin(), more.end());
}

std::map<std::string, ResumeRule> make_rules() {
  std::vector<Row> rows;
  add_harmless(rows);
  add_training(rows);
  std::map<std::string, ResumeRule> rules;
  for (const Row& row : rows)
    for (const std::string& name : split(row.names, ' '))
      rules[name] = {row.effect, row.meaning};
  return rules;
}

std::string last_name(std::string path) {
  while (path.ends_with('/')) path.pop_back();
  return path.substr(path.rfind('/') + 1);
}

/// What the difference does between these two decks.
ResumeRule resolved(const Key& key, const Deck& before, const Deck& after) {
  ResumeRule rule = resume_rule(key.name);
  const auto harmless = [&] { return ResumeRule{OnResuming::kHarmless, {}}; };
  const bool for_pairs = key.section == "dpo";
  if (for_pairs && before.train.stage != Stage::kDpo && after.train.stage != Stage::kDpo)
    return harmless();
  const auto order_seed = [](const Deck& deck) {
    return deck.data.data_seed.value_or(deck.train.seed);
  };
  if (key.name == "data_seed" && order_seed(before) == order_seed(after))
    return harmless();
  const auto preserves = [](const Deck& deck) {
    return deck.data.preserve_thinking.value_or(deck.data.template_ == "qwen3_8");
  };
  if (key.name == "preserve_thinking" && preserves(before) == preserves(after))
    return harmless();
  if (rule.effect != OnResuming::kPath) return rule;
  const std::string was = key.text(before), is = key.text(after);
  if (last_name(was) == last_name(is)) return harmless();
  rule.effect = OnResuming::kTraining;
  return rule;
}

}  // namespace

const ResumeRule& resume_rule(const std::string& key) {
  static const std::map<std::string, ResumeRule> rules = make_rules();
  const auto found = rules.find(key);
  MT_CHECK(found != rules.end(), "on_resuming.cpp does not say what a change of ", key,
           " means");
  return found->second;
}

std::string to_string(const KeyChange& change) {
  const auto value = [](const std::string& text) {
    return text.empty() ? std::string("\"\"") : shown(text);
  };
  return cat(change.key, " ", value(change.before), " -> ", value(change.after));
}

std::optional<Deck> stored_deck(const std::string& text) {
  Faults faults;  // a key of another version is no fault of the user's
  Deck deck = default_deck();
  bool known = false;
  for (const Entry& entry : read_ini({"deck.ini", text}, faults)) {
    const Key* key = find_key(entry.name);
    if (key != nullptr && !key->assign(entry.value, deck)) known = true;
  }
  return known ? std::optional(deck) : std::nullopt;
}

std::vector<KeyChange> changes(const Deck& before, const Deck& after) {
  std::vector<KeyChange> found;
  for (const Key& key : all_keys()) {
    const std::string was = key.text(before), is = key.text(after);
    if (was != is) found.push_back({key.name, was, is, resolved(key, before, after)});
  }
  return found;
}

}  // namespace mtrain::config
