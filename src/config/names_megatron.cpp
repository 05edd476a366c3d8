// Owns the known names of Megatron-LM and mcore_adapter that are no keys here, and common
// short forms; read by known_names.cpp.
#include "known_names.hpp"

namespace mtrain::config {

namespace {

constexpr auto kRefused = NameGroup::Effect::kRefused;
constexpr auto kNoEffect = NameGroup::Effect::kNoEffect;

void add_adapter_names(std::vector<NameGroup>& groups) {
  const std::vector<NameGroup> adapter = {
      {kNoEffect, "variable_seq_lengths", "", "lengths may always vary here"},
      {kNoEffect,
       "cross_entropy_loss_fusion masked_softmax_fusion transformer_impl use_flash_attn "
       "use_flash_attn_npu_batch_invariant compile_warmup",
       "", "it picks an implementation only; see [kernels]"},
      {kRefused, "moe_layer_recompute", "",
       "write recompute_granularity = selective and recompute_modules = moe"},
      {kRefused, "moe_token_drop_policy", "probs",
       "the least probable tokens of a full expert are dropped"},
      {kRefused,
       "delay_wgrad_compute moe_shared_expert_overlap moe_enable_routing_replay "
       "mtp_num_layers "
       "optimizer_cpu_offload",
       "", "remove it"},
      {kNoEffect, "optimizer_offload_fraction", "", "the optimizer is not offloaded"},
      {kRefused, "pipeline_model_parallel_layout", "",
       "write num_layers_in_first_pipeline_stage and num_layers_in_last_pipeline_stage"},
      {kRefused, "fp8_param fp8_format fp8_recipe", "", "write bf16 = true"},
      {kRefused, "cuda_graph_impl", "", "remove it"},
      {kNoEffect, "cuda_graph_scope", "", "CUDA graphs are not supported"},
      {kRefused, "additional_configs", "{}",
       "write each of its keys in the deck; the model's sizes come from config.json"},
      {kRefused, "sequence_packing", "", "write neat_packing = true"},
      {kNoEffect, "accumulate_allreduce_grads_in_fp32", "",
       "gradients are always summed in fp32"},
      {kNoEffect,
       "delay_grad_reduce check_for_nan_in_loss_and_grad "
       "ddp_average_in_collective ddp_bucket_size "
       "distrib_optim_fully_reshardable "
       "distrib_optim_fully_reshardable_mem_efficient ckpt_format "
       "ckpt_d2h_non_blocking",
       "",
       "it changes no result here: gradients are summed in one way, checkpoints have "
       "one format that loads into every layout"},
  };
  groups.insert(groups.end(), adapter.begin(), adapter.end());
}

/// Names that mean one key here, but in other units or with other rules, so that they are
/// refused rather than translated.
void add_renamed(std::vector<NameGroup>& groups) {
  const std::vector<std::pair<const char*, const char*>> renamed = {
      {"lr", "learning_rate"},
      {"train_iters", "max_steps"},
      {"lr_warmup_iters", "warmup_steps"},
      {"lr_warmup_fraction", "warmup_ratio"},
      {"lr_decay_style", "lr_scheduler_type"},
      {"clip_grad gradient_clipping", "max_grad_norm"},
      {"adam_eps", "adam_epsilon"},
      {"seq_length max_seq_length max_seq_len sequence_length model_max_length",
       "cutoff_len"},
      {"save save_dir", "output_dir"},
      {"load", "model_name_or_path or resume_from_checkpoint"},
      {"save_interval", "save_steps"},
      {"log_interval", "logging_steps"},
      {"eval_interval", "eval_steps"},
      {"global_batch_size train_batch_size batch_size",
       "gradient_accumulation_steps (step = per_device_train_batch_size * "
       "gradient_accumulation_steps * data-parallel ranks)"},
      {"per_gpu_train_batch_size", "per_device_train_batch_size"},
      {"data_path train_dataset", "dataset"},
      {"model model_path", "model_name_or_path"},
      {"num_epochs epochs", "num_train_epochs"},
      {"tp tp_size tensor_parallel_size", "tensor_model_parallel_size"},
      {"pp pp_size pipeline_parallel_size", "pipeline_model_parallel_size"},
      {"vpp num_virtual_stages_per_pipeline_rank num_layers_per_virtual_pipeline_stage",
       "virtual_pipeline_model_parallel_size"},
      {"cp cp_size", "context_parallel_size"},
      {"ep ep_size expert_parallel_size", "expert_model_parallel_size"},
      {"etp", "expert_tensor_parallel_size"},
      {"decoder_first_pipeline_num_layers", "num_layers_in_first_pipeline_stage"},
      {"decoder_last_pipeline_num_layers", "num_layers_in_last_pipeline_stage"},
      {"recompute_activations", "recompute_granularity = selective"},
      {"deterministic_mode", "deterministic"},
      {"params_dtype precision", "dtype"},
      {"distributed_backend", "backend"},
  };
  for (const auto& [names, key] : renamed) {
    groups.push_back({kRefused, names, "", std::string("write ") + key});
  }
}

/// Names of LLaMA-Factory's other Megatron path, over Megatron Bridge.
void add_bridge_names(std::vector<NameGroup>& groups) {
  const std::vector<NameGroup> bridge = {
      {kRefused, "use_packed_sequences", "", "write neat_packing = true"},
      {kRefused, "mixed_precision", "bf16_mixed", "write bf16 = true"},
      {kRefused, "megatron_pretrained_checkpoint", "",
       "give model_name_or_path, a folder in Hugging Face format"},
      {kNoEffect, "export_hf_on_finish", "",
       "the end of a run always writes Hugging Face files"},
      {kRefused, "extra_config", "{}", "write each of its keys in the deck"},
  };
  groups.insert(groups.end(), bridge.begin(), bridge.end());
}

}  // namespace

void add_megatron_names(std::vector<NameGroup>& groups) {
  add_adapter_names(groups);
  add_bridge_names(groups);
  add_renamed(groups);
  groups.push_back(
      {kRefused,
       "num_layers hidden_size ffn_hidden_size num_attention_heads "
       "num_query_groups kv_channels max_position_embeddings swiglu "
       "normalization norm_epsilon rotary_base position_embedding_type "
       "untie_embeddings_and_output_weights disable_bias_linear qk_layernorm "
       "num_experts moe_router_topk vocab_size make_vocab_size_divisible_by",
       "", "the model's sizes come from its config.json"});
}

}  // namespace mtrain::config
