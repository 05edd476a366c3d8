// Owns the known names of LLaMA-Factory that are no keys here; read by known_names.cpp.
#include "known_names.hpp"

namespace mtrain::config {

namespace {

constexpr auto kRefused = NameGroup::Effect::kRefused;
constexpr auto kNoEffect = NameGroup::Effect::kNoEffect;

void add_model_names(std::vector<NameGroup>& groups) {
  const std::vector<NameGroup> model = {
      {kNoEffect,
       "trust_remote_code use_fast_tokenizer low_cpu_mem_usage use_kv_cache use_cache "
       "print_param_status use_reentrant_gc offload_folder",
       "", "nothing here corresponds to it"},
      {kNoEffect, "hf_hub_token ms_hub_token om_hub_token download_mode", "",
       "nothing is downloaded: model_name_or_path is a local folder or a download"},
      {kNoEffect, "flash_attn", "",
       "attention is exact; attention_backend picks the kernel"},
      {kNoEffect, "enable_liger_kernel use_unsloth use_unsloth_gc use_v1_kernels", "",
       "the operators here are fused already"},
      {kNoEffect,
       "infer_backend infer_dtype do_sample temperature top_p top_k num_beams "
       "max_length max_new_tokens repetition_penalty length_penalty "
       "skip_special_tokens vllm_maxlen vllm_gpu_util vllm_enforce_eager "
       "vllm_max_lora_rank vllm_config sglang_maxlen sglang_mem_fraction "
       "sglang_tp_size sglang_config sglang_lora_backend",
       "", "it concerns generation only"},
      {kNoEffect,
       "export_dir export_size export_device export_quantization_bit "
       "export_quantization_dataset export_quantization_nsamples "
       "export_quantization_maxlen export_legacy_format export_hub_model_id",
       "", "it concerns exporting only; see mconvert to-hf"},
      {kRefused, "train_from_scratch", "",
       "give model_config and init_seed instead of model_name_or_path"},
      {kRefused, "rope_scaling", "", "rotary scaling comes from the model's config.json"},
      {kRefused, "add_tokens add_special_tokens new_special_tokens_config resize_vocab",
       "", "tokens cannot be added; add them to the model's files first"},
      {kNoEffect, "init_special_tokens", "", "it concerns added tokens only"},
      {kRefused, "split_special_tokens shift_attn mixture_of_depths block_diag_attn", "",
       "remove it"},
      {kRefused, "quantization_bit quantization_device_map", "",
       "quantized weights cannot be trained; write dtype = bfloat16"},
      {kNoEffect, "quantization_method quantization_type double_quantization", "",
       "it concerns quantized weights only"},
      {kRefused, "upcast_layernorm upcast_lmhead_output pure_bf16", "",
       "precision is fixed: dtype for weights and activations, fp32 for the loss, the "
       "gradients' sums and the optimizer"},
      {kRefused,
       "use_kt kt_config kt_weight_path kt_cpu_activation kt_expert_checkpoint_path "
       "kt_non_expert_weight_path kt_use_lora_experts",
       "", "remove it"},
      {kNoEffect, "kt_lora_expert_num kt_lora_expert_intermediate_size", "",
       "KTransformers are not supported and not switched on"},
      {kNoEffect, "compute_dtype device_map", "", "dtype and device decide"},
      {kRefused,
       "image_max_pixels image_min_pixels image_do_pan_and_scan crop_to_patches "
       "video_max_pixels video_min_pixels video_fps video_maxlen "
       "use_audio_in_video audio_sampling_rate media_dir",
       "", "images are not built yet; remove it for text data"},
      {kRefused, "moe_aux_loss_coef", "",
       "write moe_aux_loss_coeff (per layer, as Megatron-LM)"},
  };
  groups.insert(groups.end(), model.begin(), model.end());
}

void add_data_names(std::vector<NameGroup>& groups) {
  const std::vector<NameGroup> data = {
      {kNoEffect, "overwrite_cache data_shared_file_system buffer_size", "",
       "no cache of samples is kept besides tokenized_path"},
      {kRefused, "streaming", "",
       "write a token store with mprep and give tokenized_path"},
      {kNoEffect, "ignore_pad_token_for_loss", "", "padding is never trained on"},
      {kRefused, "eval_on_each_dataset", "", "the evaluation sets are joined into one"},
      {kNoEffect, "eval_num_beams", "", "it concerns generation only"},
      {kNoEffect, "task task_dir lang n_shot", "", "it concerns benchmarks only"},
  };
  groups.insert(groups.end(), data.begin(), data.end());
}

void add_method_names(std::vector<NameGroup>& groups) {
  const std::vector<NameGroup> methods = {
      {kNoEffect,
       "lora_alpha lora_dropout lora_rank lora_target loraplus_lr_ratio "
       "loraplus_lr_embedding use_rslora use_dora pissa_init pissa_iter "
       "pissa_convert create_new_adapter additional_target module_dropout "
       "oft_rank oft_block_size oft_target freeze_trainable_layers "
       "freeze_trainable_modules freeze_extra_modules save_merged_model",
       "", "finetuning_type = full trains every weight"},
      {kRefused, "adapter_name_or_path adapter_folder", "",
       "merge them into the model first"},
      {kNoEffect, "freeze_vision_tower freeze_multi_modal_projector", "",
       "it concerns vision models only"},
      {kRefused, "freeze_language_model", "", "every weight of a text model is trained"},
      {kNoEffect,
       "kto_chosen_weight kto_rejected_weight ppo_buffer_size ppo_epochs "
       "ppo_score_norm ppo_target ppo_whiten_rewards reward_model_type",
       "", "it concerns stages ppo and kto only, which are not supported"},
      {kRefused,
       "pref_bco_weight ld_alpha ref_model_adapters ref_model_quantization_bit "
       "reward_model reward_model_adapters reward_model_quantization_bit",
       "", "remove it"},
      {kRefused, "use_galore use_apollo use_badam use_adam_mini use_muon use_llama_pro",
       "", "AdamW over all weights is the only optimizer; remove it"},
      {kNoEffect,
       "galore_target galore_rank galore_update_interval galore_scale "
       "galore_proj_type galore_layerwise apollo_target apollo_rank "
       "apollo_update_interval apollo_scale apollo_proj apollo_proj_type "
       "apollo_scale_type apollo_layerwise apollo_scale_front badam_mode "
       "badam_start_block badam_switch_mode badam_switch_interval "
       "badam_update_ratio badam_mask_mode badam_verbose asft_alpha eaft_alpha",
       "", "it belongs to a method that is not supported and not switched on"},
      {kRefused, "use_dft_loss use_asft_loss use_eaft_loss", "",
       "next-token cross-entropy is the only loss of stages pt and sft"},
      {kRefused, "compute_accuracy early_stopping_steps", "", "remove it"},
  };
  groups.insert(groups.end(), methods.begin(), methods.end());
}

void add_tool_names(std::vector<NameGroup>& groups) {
  const std::vector<NameGroup> tools = {
      {kRefused, "use_hyper_parallel use_megatron_bridge", "",
       "write tensor_model_parallel_size and the other keys of [parallel]"},
      {kNoEffect, "hyper_parallel_args hyper_parallel_cp_size megatron_bridge_args", "",
       "it belongs to another back end"},
      {kNoEffect, "use_mca include_effective_tokens_per_second", "",
       "it is always so here"},
      {kRefused, "use_swanlab", "", "use trainer_log.jsonl or report_to = tensorboard"},
      {kNoEffect,
       "swanlab_project swanlab_workspace swanlab_run_name swanlab_mode "
       "swanlab_api_key swanlab_logdir swanlab_lark_webhook_url "
       "swanlab_lark_secret",
       "", "SwanLab is not supported and not switched on"},
      {kNoEffect,
       "ray_num_workers ray_init_kwargs ray_run_name ray_storage_path "
       "master_addr master_port",
       "", "ranks come from mpirun or srun"},
      {kRefused, "enable_torch_profiler profile_modules", "", "remove it"},
      {kNoEffect,
       "profiler_output_dir profiler_wait_steps profiler_warmup_steps "
       "profiler_active_steps profiler_repeat profiler_record_shapes "
       "profiler_profile_memory profiler_with_stack",
       "", "it belongs to a profiler that is not supported and not switched on"},
      {kNoEffect, "fp8_backend fp8_enable_fsdp_float8_all_gather", "",
       "it concerns fp8 only, which is not supported"},
  };
  groups.insert(groups.end(), tools.begin(), tools.end());
}

}  // namespace

void add_reference_names(std::vector<NameGroup>& groups) {
  add_model_names(groups);
  add_data_names(groups);
  add_method_names(groups);
  add_tool_names(groups);
}

}  // namespace mtrain::config
