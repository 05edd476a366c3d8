// The deck as plain structs, one per section. Member names are the key names; types,
// ranges, defaults and meanings are declared in src/config/keys_*.cpp and listed in
// docs/deck.md. An empty std::optional is the deck's `null`; an empty string or list is
// "not given".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "mtrain/config/enums.hpp"

namespace mtrain::config {

/// A span of time, of the deck's whole seconds.
struct Duration {
  int64_t seconds;
};

struct Model {
  std::string model_name_or_path;  ///< exactly one of this ...
  std::string model_config;        ///< ... and this is given
  std::string model_revision;      ///< of a model in a hub's cache
  std::string cache_dir;  ///< that cache; empty: where the hubs' programs have it
  int64_t init_seed;
  std::string dtype;                   ///< auto, float32 or bfloat16
  std::string resume_from_checkpoint;  ///< auto, none or a directory
};

struct Parallel {
  int tensor_model_parallel_size;
  int pipeline_model_parallel_size;
  std::optional<int> virtual_pipeline_model_parallel_size;
  int context_parallel_size;
  int expert_model_parallel_size;
  int expert_tensor_parallel_size;
  bool sequence_parallel;
  bool use_distributed_optimizer;
  bool overlap_grad_reduce;
  bool overlap_param_gather;
  bool overlap_p2p_comm;
  bool overlap_moe_expert_parallel_comm;
  bool account_for_embedding_in_pipeline_split;
  bool account_for_loss_in_pipeline_split;
  std::optional<int> num_layers_in_first_pipeline_stage;
  std::optional<int> num_layers_in_last_pipeline_stage;
  Backend backend;
  Device device;
};

struct Kernels {
  bool bias_activation_fusion;
  bool apply_rope_fusion;
  bool moe_grouped_gemm;
  bool moe_permute_fusion;
  AttentionBackend attention_backend;
};

struct Moe {
  TokenDispatcher moe_token_dispatcher_type;
  double moe_aux_loss_coeff;
  double moe_z_loss_coeff;
  std::string moe_router_dtype;  ///< fp32 or fp64
  std::optional<double> moe_expert_capacity_factor;
  bool moe_pad_expert_input_to_capacity;
};

struct Data {
  std::vector<std::string> dataset;
  std::vector<std::string> eval_dataset;
  std::string dataset_dir;
  std::string template_;  ///< key `template`, a reserved word in C++; empty for null
  int64_t cutoff_len;
  std::optional<int64_t> max_samples;
  std::optional<bool> packing;
  bool neat_packing;
  PtPacking pt_packing;
  bool train_on_prompt;
  bool mask_history;
  std::optional<bool> enable_thinking;
  std::optional<bool> preserve_thinking;  ///< null: as the template does
  ReasoningEffort reasoning_effort;
  CompatVersion compat_version;
  std::optional<std::string> default_system;  ///< null: the template's own; "" is a value
  std::optional<std::string> tool_format;
  double val_size;  ///< below 1 a share of the samples, from 1 on a count
  MixStrategy mix_strategy;
  std::vector<double> interleave_probs;
  int64_t preprocessing_batch_size;
  bool skip_malformed;
  std::string tokenized_path;
  bool shuffle;
  std::optional<int64_t> data_seed;  ///< null: seed
  std::optional<int64_t> preprocessing_num_workers;
};

struct Train {
  Stage stage;
  bool do_train;
  bool do_eval;
  std::string finetuning_type;
  int64_t per_device_train_batch_size;
  int64_t gradient_accumulation_steps;
  double num_train_epochs;
  int64_t max_steps;                 ///< -1: num_train_epochs decides
  std::optional<Duration> max_time;  ///< of the process; null: no end
  int64_t seed;
  RecomputeGranularity recompute_granularity;
  RecomputeMethod recompute_method;
  int recompute_num_layers;
  std::vector<std::string> recompute_modules;
  LossAverage loss_average;
  bool balance_micro_batches;
  NonFiniteStep on_nonfinite_step;
  int64_t max_nonfinite_steps;  ///< in a row, before even kSkip stops
  double hang_timeout;          ///< seconds; 0: hangs are not looked for
  int64_t check_weight_hash_across_dp_replicas_interval;  ///< 0: never
  bool deterministic;
  Compat compat;
};

struct Optimizer {
  std::string optim;
  double learning_rate;
  double adam_beta1;
  double adam_beta2;
  double adam_epsilon;
  double weight_decay;
  double max_grad_norm;  ///< 0: no clipping
  LrScheduler lr_scheduler_type;
  int64_t warmup_steps;  ///< 0: warmup_ratio decides
  double warmup_ratio;
  std::optional<double> min_lr;
  std::optional<int64_t> lr_wsd_decay_iters;  ///< required by warmup_stable_decay
  DecayStyle lr_wsd_decay_style;
};

struct Checkpoint {
  std::string output_dir;
  bool overwrite_output_dir;
  bool accept_changes;
  Strategy save_strategy;
  int64_t save_steps;  ///< 0: only at the end
  std::optional<int64_t> save_total_limit;
  bool save_hf_model;
  bool save_only_model;
  bool async_save;
  bool load_best_model_at_end;
  std::string metric_for_best_model;  ///< empty: loss
  std::optional<bool> greater_is_better;
};

struct Dpo {
  PrefLoss pref_loss;
  double pref_beta;
  double pref_ftx;
  double dpo_label_smoothing;
  double simpo_gamma;
  std::string ref_model;
  std::string ref_log_probs;
};

struct Log {
  int64_t logging_steps;
  ReportTo report_to;
  bool plot_loss;
  Strategy eval_strategy;             ///< with do_eval
  std::optional<int64_t> eval_steps;  ///< null: logging_steps
  bool eval_on_start;
  bool log_per_rank;
  std::optional<int64_t> profile_step;
};

struct Deck {
  Model model;
  Parallel parallel;
  Kernels kernels;
  Moe moe;
  Data data;
  Train train;
  Optimizer optimizer;
  Checkpoint checkpoint;
  Dpo dpo;
  Log log;
};

}  // namespace mtrain::config
