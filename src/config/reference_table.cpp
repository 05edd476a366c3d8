// Owns the names of the references' arguments, by where they come from; read by the
// look-up of known names. Written by scripts/known_names.py.
#include "known_names.hpp"

namespace mtrain::config {

namespace {

constexpr struct {
  const char *version, *names;
} kReferences[] = {
    {"LLaMA-Factory 0.9.6.dev0 (main of 2026-08-18)",
     "account_for_embedding_in_pipeline_split account_for_loss_in_pipeline_split "
     "adapter_folder adapter_name_or_path add_special_tokens add_tokens "
     "additional_target apollo_layerwise apollo_proj apollo_proj_type apollo_rank "
     "apollo_scale apollo_scale_front apollo_scale_type apollo_target "
     "apollo_update_interval apply_rope_fusion asft_alpha audio_sampling_rate "
     "badam_mask_mode badam_mode badam_start_block badam_switch_interval "
     "badam_switch_mode badam_update_ratio badam_verbose batch_size "
     "bias_activation_fusion buffer_size cache_dir calculate_per_token_loss "
     "compute_accuracy context_parallel_size create_new_adapter crop_to_patches "
     "cross_entropy_loss_fusion cutoff_len data_shared_file_system dataset dataset_dir "
     "default_system disable_gradient_checkpointing disable_shuffling do_sample "
     "double_quantization download_mode dpo_label_smoothing eaft_alpha "
     "early_stopping_steps enable_liger_kernel enable_thinking enable_torch_profiler "
     "eval_dataset eval_num_beams eval_on_each_dataset expert_model_parallel_size "
     "export_device export_dir export_hf_on_finish export_hub_model_id "
     "export_legacy_format export_quantization_bit export_quantization_dataset "
     "export_quantization_maxlen export_quantization_nsamples export_size extra_config "
     "finetuning_type flash_attn fp8 fp8_backend fp8_enable_fsdp_float8_all_gather "
     "freeze_extra_modules freeze_language_model freeze_multi_modal_projector "
     "freeze_trainable_layers freeze_trainable_modules freeze_vision_tower "
     "galore_layerwise galore_proj_type galore_rank galore_scale galore_target "
     "galore_update_interval hf_hub_token hyper_parallel_args hyper_parallel_cp_size "
     "ignore_pad_token_for_loss image_do_pan_and_scan image_max_pixels image_min_pixels "
     "include_effective_tokens_per_second infer_backend infer_dtype init_special_tokens "
     "interleave_probs kt_cpu_activation kt_expert_checkpoint_path "
     "kt_lora_expert_intermediate_size kt_lora_expert_num kt_non_expert_weight_path "
     "kt_use_lora_experts kt_weight_path kto_chosen_weight kto_rejected_weight lang "
     "ld_alpha length_penalty lora_alpha lora_dropout lora_rank lora_target "
     "loraplus_lr_embedding loraplus_lr_ratio low_cpu_mem_usage mask_history "
     "masked_softmax_fusion master_addr master_port max_length max_new_tokens "
     "max_samples media_dir megatron_pretrained_checkpoint mix_strategy mixed_precision "
     "mixture_of_depths model_name_or_path model_revision module_dropout "
     "moe_aux_loss_coef moe_grouped_gemm moe_token_dispatcher_type ms_hub_token n_shot "
     "neat_packing new_special_tokens_config num_beams offload_folder oft_block_size "
     "oft_rank oft_target om_hub_token overlap_grad_reduce overlap_param_gather "
     "overwrite_cache overwrite_output_dir packing pipeline_model_parallel_size "
     "pissa_convert pissa_init pissa_iter plot_loss ppo_buffer_size ppo_epochs "
     "ppo_score_norm ppo_target ppo_whiten_rewards pref_bco_weight pref_beta pref_ftx "
     "pref_loss preprocessing_batch_size preprocessing_num_workers preserve_thinking "
     "print_param_status profile_modules profiler_active_steps profiler_output_dir "
     "profiler_profile_memory profiler_record_shapes profiler_repeat profiler_wait_steps "
     "profiler_warmup_steps profiler_with_stack pure_bf16 quantization_bit "
     "quantization_device_map quantization_method quantization_type ray_init_kwargs "
     "ray_num_workers reasoning_effort recompute_granularity recompute_method "
     "recompute_num_layers ref_model ref_model_adapters ref_model_quantization_bit "
     "repetition_penalty resize_vocab reward_model reward_model_adapters "
     "reward_model_quantization_bit reward_model_type rope_scaling save_dir seed "
     "sequence_parallel sglang_config sglang_lora_backend sglang_maxlen "
     "sglang_mem_fraction sglang_tp_size shift_attn simpo_gamma skip_special_tokens "
     "split_special_tokens stage streaming swanlab_api_key swanlab_lark_secret "
     "swanlab_lark_webhook_url swanlab_logdir swanlab_mode swanlab_project "
     "swanlab_run_name swanlab_workspace task task_dir temperature template "
     "tensor_model_parallel_size tokenized_path tool_format top_k top_p "
     "train_from_scratch train_on_prompt trust_remote_code upcast_layernorm "
     "upcast_lmhead_output use_adam_mini use_apollo use_asft_loss use_audio_in_video "
     "use_badam use_dft_loss use_distributed_optimizer use_dora use_eaft_loss "
     "use_fast_tokenizer use_galore use_hyper_parallel use_kt use_kv_cache use_llama_pro "
     "use_mca use_megatron_bridge use_muon use_packed_sequences use_reentrant_gc "
     "use_rslora use_swanlab use_unsloth use_unsloth_gc use_v1_kernels val_size "
     "video_fps video_max_pixels video_maxlen video_min_pixels "
     "virtual_pipeline_model_parallel_size vllm_config vllm_enforce_eager vllm_gpu_util "
     "vllm_max_lora_rank vllm_maxlen"},
    {"mcore_adapter 0.10.0.dev0",
     "accumulate_allreduce_grads_in_fp32 additional_configs "
     "check_for_nan_in_loss_and_grad ckpt_d2h_non_blocking ckpt_format compile_warmup "
     "cuda_graph_impl cuda_graph_scope ddp_average_in_collective ddp_bucket_size "
     "delay_grad_reduce distrib_optim_fully_reshardable "
     "distrib_optim_fully_reshardable_mem_efficient expert_tensor_parallel_size "
     "fp8_param fp8_recipe moe_aux_loss_coeff moe_enable_routing_replay "
     "moe_expert_capacity_factor moe_layer_recompute moe_pad_expert_input_to_capacity "
     "moe_router_dtype moe_shared_expert_overlap moe_token_drop_policy mtp_num_layers "
     "optimizer optimizer_cpu_offload optimizer_offload_fraction overlap_p2p_comm "
     "pipeline_model_parallel_layout recompute_modules save_hf_model save_merged_model "
     "sequence_packing transformer_impl variable_seq_lengths"},
    {"transformers 4.57.1 and 5.24.0",
     "accelerator_config activation_checkpointing activation_checkpointing_kwargs "
     "adafactor adam_beta1 adam_beta2 adam_epsilon auto_find_batch_size "
     "average_tokens_across_devices batch_eval_metrics bf16 bf16_full_eval data_seed "
     "dataloader_drop_last dataloader_in_order dataloader_multiprocessing_context "
     "dataloader_num_workers dataloader_persistent_workers dataloader_pin_memory "
     "dataloader_prefetch_factor ddp_backend ddp_broadcast_buffers ddp_bucket_cap_mb "
     "ddp_find_unused_parameters ddp_static_graph ddp_timeout debug deepspeed "
     "disable_tqdm do_eval do_predict do_train enable_jit_checkpoint "
     "eval_accumulation_steps eval_delay eval_do_concat_batches eval_on_start eval_steps "
     "eval_strategy eval_use_gather_object fp16 fp16_backend fp16_full_eval "
     "fp16_opt_level fsdp fsdp_config fsdp_min_num_params "
     "fsdp_transformer_layer_cls_to_wrap full_determinism generation_config "
     "generation_max_length generation_num_beams gradient_accumulation_steps "
     "gradient_checkpointing gradient_checkpointing_kwargs greater_is_better "
     "group_by_length half_precision_backend hub_always_push hub_model_id "
     "hub_private_repo hub_revision hub_strategy hub_token ignore_data_skip "
     "include_for_metrics include_inputs_for_metrics include_num_input_tokens_seen "
     "include_tokens_per_second jit_mode_eval label_names label_smoothing_factor "
     "learning_rate length_column_name liger_kernel_config load_best_model_at_end "
     "local_rank log_level log_level_replica log_on_each_node logging_dir "
     "logging_first_step logging_nan_inf_filter logging_steps logging_strategy "
     "lr_scheduler_kwargs lr_scheduler_type max_grad_norm max_steps "
     "metric_for_best_model mp_parameters neftune_noise_alpha no_cuda num_train_epochs "
     "optim optim_args optim_target_modules output_dir parallelism_config past_index "
     "per_device_eval_batch_size per_device_train_batch_size per_gpu_eval_batch_size "
     "per_gpu_train_batch_size predict_with_generate prediction_loss_only project "
     "push_to_hub push_to_hub_model_id push_to_hub_organization push_to_hub_token "
     "ray_scope remove_unused_columns report_to restore_callback_states_from_checkpoint "
     "resume_from_checkpoint run_name save_on_each_node save_only_model save_safetensors "
     "save_steps save_strategy save_total_limit skip_memory_metrics sortish_sampler tf32 "
     "torch_compile torch_compile_backend torch_compile_mode torch_empty_cache_steps "
     "torchdynamo tpu_metrics_debug tpu_num_cores trackio_bucket_id trackio_space_id "
     "trackio_static_space_id train_sampling_strategy use_cache use_cpu "
     "use_legacy_prediction_loop use_liger_kernel use_mps_device warmup_ratio "
     "warmup_steps weight_decay"},
    {"Megatron-LM",
     "adam_eps check_weight_hash_across_dp_replicas_interval clip_grad data_path "
     "decoder_first_pipeline_num_layers decoder_last_pipeline_num_layers "
     "deterministic_mode disable_bias_linear distributed_backend eval_interval "
     "exit_duration_in_mins ffn_hidden_size global_batch_size hidden_size kv_channels "
     "load log_interval lr lr_decay_style lr_warmup_fraction lr_warmup_iters "
     "lr_wsd_decay_iters lr_wsd_decay_style make_vocab_size_divisible_by "
     "max_position_embeddings micro_batch_size min_lr moe_permute_fusion moe_router_topk "
     "moe_z_loss_coeff norm_epsilon normalization num_attention_heads num_experts "
     "num_layers num_layers_in_first_pipeline_stage num_layers_in_last_pipeline_stage "
     "num_layers_per_virtual_pipeline_stage num_query_groups "
     "num_virtual_stages_per_pipeline_rank overlap_moe_expert_parallel_comm params_dtype "
     "position_embedding_type qk_layernorm recompute_activations rotary_base save "
     "save_interval seq_length swiglu train_iters untie_embeddings_and_output_weights"},
};

}  // namespace

const std::vector<ReferenceNames>& all_reference_names() {
  static const std::vector<ReferenceNames> all = [] {
    std::vector<ReferenceNames> made;
    for (const auto& [version, names] : kReferences) made.push_back({version, names});
    return made;
  }();
  return all;
}

}  // namespace mtrain::config
