// Owns the known names of the Hugging Face trainer that are no keys here; read by
// known_names.cpp.
#include "known_names.hpp"

namespace mtrain::config {

namespace {

constexpr auto kRefused = NameGroup::Effect::kRefused;
constexpr auto kNoEffect = NameGroup::Effect::kNoEffect;

void add_run_names(std::vector<NameGroup>& groups) {
  const std::vector<NameGroup> run = {
      {kRefused, "do_predict predict_with_generate", "",
       "generate with the exported model"},
      {kNoEffect,
       "generation_max_length generation_num_beams generation_config "
       "sortish_sampler prediction_loss_only label_names past_index",
       "", "it concerns generation only"},
      {kNoEffect,
       "per_device_eval_batch_size per_gpu_eval_batch_size eval_accumulation_steps "
       "eval_delay "
       "eval_do_concat_batches eval_use_gather_object batch_eval_metrics "
       "jit_mode_eval bf16_full_eval",
       "", "evaluation uses the batches and precision of training"},
      {kRefused, "fp16_full_eval", "", "remove it"},
      {kRefused, "fp16", "", "fp16 would need loss scaling; write bf16 = true"},
      {kNoEffect, "fp16_opt_level fp16_backend half_precision_backend", "",
       "it concerns fp16 only, which is not supported"},
      {kRefused, "fp8", "", "write bf16 = true"},
      {kRefused, "tf32", "", "fp32 products are computed in fp32"},
      {kRefused, "use_cpu no_cuda", "", "write device = cpu"},
      {kRefused, "use_mps_device use_ipex tpu_num_cores", "",
       "only cuda and cpu are supported; write device = cuda or device = cpu"},
      {kRefused, "activation_checkpointing", "", "write recompute_granularity = full"},
      {kNoEffect, "gradient_checkpointing_kwargs activation_checkpointing_kwargs", "",
       "recompute_granularity decides what is computed again"},
      {kRefused, "auto_find_batch_size", "",
       "the batch is never changed behind your back; mtrain --check prints the memory "
       "plan"},
  };
  groups.insert(groups.end(), run.begin(), run.end());
}

void add_optimizer_names(std::vector<NameGroup>& groups) {
  const std::vector<NameGroup> optimizer = {
      {kRefused, "label_smoothing_factor", "", "remove it"},
      {kRefused, "neftune_noise_alpha", "",
       "noise on embeddings is not built: training is a function of data and seed alone; "
       "remove it"},
      {kRefused, "adafactor optim_args optim_target_modules", "",
       "optim = adamw is the only optimizer"},
      {kNoEffect, "average_tokens_across_devices", "",
       "the loss is averaged over the tokens of all ranks"},
      {kRefused, "group_by_length length_column_name", "",
       "samples are never padded, so nothing is gained by it; remove it"},
      {kNoEffect, "dataloader_drop_last", "",
       "what is left of an epoch below one step is dropped"},
      {kRefused, "train_sampling_strategy", "random",
       "write shuffle = false for sequential"},
      {kRefused, "ignore_data_skip", "", "remove it"},
      {kNoEffect,
       "dataloader_num_workers dataloader_pin_memory dataloader_prefetch_factor "
       "dataloader_persistent_workers dataloader_in_order "
       "dataloader_multiprocessing_context remove_unused_columns accelerator_config",
       "", "samples are read from the token store directly"},
      {kRefused, "deepspeed fsdp", "",
       "use_distributed_optimizer = true splits the optimizer, "
       "tensor_model_parallel_size and pipeline_model_parallel_size split the weights"},
      {kNoEffect,
       "fsdp_config fsdp_min_num_params fsdp_transformer_layer_cls_to_wrap "
       "parallelism_config",
       "", "FSDP is not supported and not switched on"},
      {kNoEffect,
       "ddp_timeout ddp_backend ddp_find_unused_parameters ddp_bucket_cap_mb "
       "ddp_broadcast_buffers ddp_static_graph local_rank ray_scope mp_parameters",
       "", "ranks come from mpirun or srun; see [parallel]"},
      {kNoEffect,
       "torch_compile torch_compile_backend torch_compile_mode torchdynamo "
       "torch_empty_cache_steps use_liger_kernel liger_kernel_config",
       "", "the operators here are fused already"},
  };
  groups.insert(groups.end(), optimizer.begin(), optimizer.end());
}

void add_output_names(std::vector<NameGroup>& groups) {
  const std::vector<NameGroup> output = {
      {kNoEffect,
       "save_safetensors save_on_each_node "
       "restore_callback_states_from_checkpoint",
       "", "checkpoints have one format, and Hugging Face files are safetensors"},
      {kNoEffect, "enable_jit_checkpoint", "", "SIGTERM and SIGUSR1 always save"},
      {kRefused, "push_to_hub", "", "nothing is uploaded; remove it"},
      {kNoEffect,
       "hub_model_id hub_strategy hub_token hub_private_repo hub_always_push "
       "hub_revision push_to_hub_model_id push_to_hub_organization "
       "push_to_hub_token",
       "", "nothing is uploaded"},
      {kNoEffect,
       "log_level log_level_replica log_on_each_node logging_dir "
       "logging_first_step logging_nan_inf_filter disable_tqdm run_name project "
       "trackio_space_id trackio_bucket_id trackio_static_space_id debug "
       "tpu_metrics_debug skip_memory_metrics "
       "include_num_input_tokens_seen include_tokens_per_second "
       "include_for_metrics include_inputs_for_metrics "
       "use_legacy_prediction_loop",
       "", "logs have one form, in output_dir"},
      {kRefused, "logging_strategy", "steps", "write logging_steps"},
  };
  groups.insert(groups.end(), output.begin(), output.end());
}

}  // namespace

void add_trainer_names(std::vector<NameGroup>& groups) {
  add_run_names(groups);
  add_optimizer_names(groups);
  add_output_names(groups);
}

}  // namespace mtrain::config
