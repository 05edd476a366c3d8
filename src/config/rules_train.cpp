// Owns the rules over several keys of the layout, the run and the optimizer; called by
// parse_deck.
#include "checker.hpp"

namespace mtrain::config {

namespace {

/// Megatron-LM has two ways to make stages uneven, and they exclude each other.
void check_uneven_split(Checker& checker) {
  const Parallel& parallel = checker.deck().parallel;
  const auto exclude = [&](const std::string& account, bool accounts,
                           const std::string& count, const std::optional<int>& layers) {
    if (!accounts || !layers) return;
    checker.fault({account, count},
                  cat(account, " = true computes the layers of a stage, but ", count,
                      " = ", *layers, " gives them"),
                  "remove one of them");
  };
  const std::string embedding = "account_for_embedding_in_pipeline_split";
  const std::string loss = "account_for_loss_in_pipeline_split";
  const std::string first = "num_layers_in_first_pipeline_stage";
  const std::string last = "num_layers_in_last_pipeline_stage";
  const bool with_embedding = parallel.account_for_embedding_in_pipeline_split;
  const bool with_loss = parallel.account_for_loss_in_pipeline_split;
  exclude(embedding, with_embedding, first, parallel.num_layers_in_first_pipeline_stage);
  exclude(embedding, with_embedding, last, parallel.num_layers_in_last_pipeline_stage);
  exclude(loss, with_loss, first, parallel.num_layers_in_first_pipeline_stage);
  exclude(loss, with_loss, last, parallel.num_layers_in_last_pipeline_stage);
}

void check_pipeline(Checker& checker) {
  const Parallel& parallel = checker.deck().parallel;
  if (parallel.pipeline_model_parallel_size > 1) return check_uneven_split(checker);
  const auto needs_stages = [&](const std::string& key, const std::optional<int>& value,
                                int harmless) {
    if (!value || *value == harmless) return;
    checker.fault({key, "pipeline_model_parallel_size"},
                  cat(key, " = ", *value,
                      " needs more than one stage, but pipeline_model_parallel_size = 1"),
                  cat("write pipeline_model_parallel_size = 2 or remove ", key));
  };
  const int never = 0;
  needs_stages("virtual_pipeline_model_parallel_size",
               parallel.virtual_pipeline_model_parallel_size, 1);
  needs_stages("num_layers_in_first_pipeline_stage",
               parallel.num_layers_in_first_pipeline_stage, never);
  needs_stages("num_layers_in_last_pipeline_stage",
               parallel.num_layers_in_last_pipeline_stage, never);
  const std::string reason = "pipeline_model_parallel_size = 1";
  if (parallel.account_for_embedding_in_pipeline_split) {
    checker.no_effect("account_for_embedding_in_pipeline_split", reason);
  }
  if (parallel.account_for_loss_in_pipeline_split) {
    checker.no_effect("account_for_loss_in_pipeline_split", reason);
  }
}

void check_overlap(Checker& checker) {
  Parallel& parallel = checker.deck().parallel;
  if (parallel.overlap_moe_expert_parallel_comm &&
      parallel.expert_model_parallel_size == 1) {
    checker.no_effect("overlap_moe_expert_parallel_comm",
                      "nothing is exchanged with expert_model_parallel_size = 1");
    parallel.overlap_moe_expert_parallel_comm = false;
  }
  if (!parallel.overlap_param_gather) return;
  const auto needs = [&](const std::string& key, bool value) {
    if (value) return;
    checker.fault({"overlap_param_gather", key},
                  cat("overlap_param_gather = true needs ", key, " = true"),
                  cat("write ", key, " = true"));
  };
  needs("use_distributed_optimizer", parallel.use_distributed_optimizer);
  needs("overlap_grad_reduce", parallel.overlap_grad_reduce);
}

void check_capacity(Checker& checker) {
  const Moe& moe = checker.deck().moe;
  if (!moe.moe_pad_expert_input_to_capacity) return;
  if (moe.moe_expert_capacity_factor) {
    checker.no_effect("moe_pad_expert_input_to_capacity",
                      "the padding would count for nothing, and no size is fixed here");
    return;
  }
  checker.fault(
      {"moe_pad_expert_input_to_capacity", "moe_expert_capacity_factor"},
      "moe_pad_expert_input_to_capacity = true, but there is no capacity to pad to",
      "write moe_expert_capacity_factor = 1");
}

void check_recompute(Checker& checker) {
  const RecomputeGranularity granularity = checker.deck().train.recompute_granularity;
  const std::string reason = cat("recompute_granularity = ", to_string(granularity));
  if (granularity != RecomputeGranularity::kFull) {
    checker.no_effect("recompute_method", reason);
    checker.no_effect("recompute_num_layers", reason);
  }
  if (granularity != RecomputeGranularity::kSelective) {
    checker.no_effect("recompute_modules", reason);
  } else if (checker.deck().train.recompute_modules.empty()) {
    checker.fault({"recompute_modules", "recompute_granularity"},
                  "recompute_granularity = selective, but recompute_modules is empty",
                  "write recompute_modules = core_attn");
  }
}

void check_warmup(Checker& checker) {
  const Optimizer& optimizer = checker.deck().optimizer;
  if (optimizer.lr_scheduler_type == LrScheduler::kConstant) {
    const std::string reason =
        "lr_scheduler_type = constant has no warm-up "
        "(constant_with_warmup has)";
    if (optimizer.warmup_steps > 0) checker.no_effect("warmup_steps", reason);
    if (optimizer.warmup_ratio > 0) checker.no_effect("warmup_ratio", reason);
  } else if (optimizer.warmup_steps > 0 && optimizer.warmup_ratio > 0) {
    checker.no_effect("warmup_ratio",
                      cat("warmup_steps = ", optimizer.warmup_steps, " wins"));
  }
  const int64_t max_steps = checker.deck().train.max_steps;
  if (max_steps > 0 && optimizer.warmup_steps > max_steps) {
    checker.fault({"warmup_steps", "max_steps"},
                  cat("warmup_steps = ", optimizer.warmup_steps,
                      " is longer than the run, max_steps = ", max_steps),
                  cat("write warmup_steps = ", max_steps, " or less"));
  }
}

void check_min_lr(Checker& checker) {
  const Optimizer& optimizer = checker.deck().optimizer;
  const LrScheduler type = optimizer.lr_scheduler_type;
  const bool is_wsd = type == LrScheduler::kWarmupStableDecay;
  if (type == LrScheduler::kCosineWithMinLr && !optimizer.min_lr) {
    checker.fault({"min_lr", "lr_scheduler_type"},
                  "lr_scheduler_type = cosine_with_min_lr needs min_lr",
                  cat("write min_lr = ", real_text(optimizer.learning_rate / 10)));
  }
  if (type != LrScheduler::kCosineWithMinLr && !is_wsd) {
    checker.no_effect("min_lr", cat("lr_scheduler_type = ", to_string(type),
                                    " has none (cosine_with_min_lr has)"));
  }
  if (optimizer.min_lr && *optimizer.min_lr > optimizer.learning_rate) {
    checker.fault({"min_lr", "learning_rate"},
                  cat("min_lr = ", real_text(*optimizer.min_lr),
                      " is above learning_rate = ", real_text(optimizer.learning_rate)),
                  cat("write min_lr = ", real_text(optimizer.learning_rate), " or less"));
  }
}

void check_decay(Checker& checker) {
  const Optimizer& optimizer = checker.deck().optimizer;
  const int64_t max_steps = checker.deck().train.max_steps;
  if (optimizer.lr_scheduler_type != LrScheduler::kWarmupStableDecay) {
    const std::string reason =
        cat("lr_scheduler_type = ", to_string(optimizer.lr_scheduler_type));
    checker.no_effect("lr_wsd_decay_iters", reason);
    checker.no_effect("lr_wsd_decay_style", reason);
    return;
  }
  if (!optimizer.lr_wsd_decay_iters) {
    checker.fault({"lr_wsd_decay_iters", "lr_scheduler_type"},
                  "lr_scheduler_type = warmup_stable_decay needs lr_wsd_decay_iters",
                  cat("write lr_wsd_decay_iters = ",
                      max_steps > 10 ? max_steps / 10 : int64_t{10}));
    return;
  }
  const int64_t used = optimizer.warmup_steps + *optimizer.lr_wsd_decay_iters;
  if (max_steps > 0 && used > max_steps) {
    checker.fault({"lr_wsd_decay_iters", "warmup_steps", "max_steps"},
                  cat("warmup_steps = ", optimizer.warmup_steps,
                      " and lr_wsd_decay_iters = ", *optimizer.lr_wsd_decay_iters,
                      " together exceed max_steps = ", max_steps),
                  cat("write lr_wsd_decay_iters = ",
                      std::max<int64_t>(1, max_steps - optimizer.warmup_steps)));
  }
}

void check_balance(Checker& checker) {
  const Train& train = checker.deck().train;
  const bool by_means =
      train.loss_average == LossAverage::kSampleMean && train.stage != Stage::kDpo;
  if (!train.balance_micro_batches || !by_means) return;
  checker.fault({"balance_micro_batches", "loss_average"},
                "balance_micro_batches = true moves samples between micro-batches, over "
                "whose means loss_average = sample_mean averages",
                "write loss_average = token or balance_micro_batches = false");
}

void check_preferences(Checker& checker) {
  const PrefLoss loss = checker.deck().dpo.pref_loss;
  const std::string reason = cat("pref_loss = ", to_string(loss));
  if (checker.deck().train.stage != Stage::kDpo) {
    for (const char* key : {"pref_loss", "pref_beta", "pref_ftx", "dpo_label_smoothing",
                            "simpo_gamma", "ref_model", "ref_log_probs"}) {
      checker.no_effect(key, "it is for stage = dpo only");
    }
    return;
  }
  checker.no_effect("loss_average", "the loss of stage = dpo is the mean over pairs");
  if (loss != PrefLoss::kSigmoid)
    checker.no_effect("dpo_label_smoothing", cat(reason, " has none (sigmoid has)"));
  if (loss != PrefLoss::kSimpo)
    checker.no_effect("simpo_gamma", cat(reason, " has none (simpo has)"));
  if (loss == PrefLoss::kOrpo || loss == PrefLoss::kSimpo)
    for (const char* key : {"ref_model", "ref_log_probs"})
      checker.no_effect(key, cat(reason, " compares with no other model"));
}

}  // namespace

void check_parallel(Checker& checker) {
  check_pipeline(checker);
  check_overlap(checker);
  const Parallel& parallel = checker.deck().parallel;
  if (parallel.backend == Backend::kNccl && parallel.device == Device::kCpu) {
    checker.fault({"backend", "device"},
                  "backend = nccl cannot reach tensors of device = cpu",
                  "write backend = mpi");
  }
  // Declared for the ported decks; see the declarations in keys_model.cpp.
  const Kernels& kernels = checker.deck().kernels;
  const std::string reason = "the fused operator is the only one, with the same results";
  if (!kernels.bias_activation_fusion)
    checker.no_effect("bias_activation_fusion", reason);
  if (!kernels.apply_rope_fusion) checker.no_effect("apply_rope_fusion", reason);
  if (!kernels.moe_grouped_gemm) checker.no_effect("moe_grouped_gemm", reason);
  if (!kernels.moe_permute_fusion) checker.no_effect("moe_permute_fusion", reason);
  check_capacity(checker);
}

void check_train(Checker& checker) {
  const Deck& deck = checker.deck();
  if (checker.purpose() == Purpose::kTrain && deck.checkpoint.output_dir.empty()) {
    checker.fault({"output_dir"}, "there is no place for results",
                  "write output_dir = FOLDER");
  }
  if (deck.train.max_steps >= 0) {
    checker.no_effect("num_train_epochs",
                      cat("max_steps = ", deck.train.max_steps, " wins"));
  }
  check_recompute(checker);
  check_balance(checker);
  check_preferences(checker);
}

void check_optimizer(Checker& checker) {
  check_warmup(checker);
  check_min_lr(checker);
  check_decay(checker);
}

}  // namespace mtrain::config
