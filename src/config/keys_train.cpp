// Owns the declarations of [train] and [optimizer]; read by the key table.
#include "key_table.hpp"

namespace mtrain::config {

namespace {

void declare_run(SectionKeys<Train>& train) {
  train.add("stage", &Train::stage, Stage::kSft, any_value(),
            "pretraining, supervised fine-tuning or preference training");
  train.add("do_train", &Train::do_train, true, any_value(), "train")
      .with_note("The reference's default is false: there another program may evaluate.");
  train.add("do_eval", &Train::do_eval, false, any_value(),
            "evaluate every eval_steps steps and at the end");
  train
      .add("finetuning_type", &Train::finetuning_type, "full",
           one_of({"full", "lora", "freeze", "oft"}), "which weights are trained")
      .with_note(
          "The reference's default is lora, but its Megatron path trains all "
          "weights whatever it says.");
  train.add("per_device_train_batch_size", &Train::per_device_train_batch_size, 8,
            between(1, kMostSamples), "samples of a micro-batch (pairs for dpo)");
  train.add("gradient_accumulation_steps", &Train::gradient_accumulation_steps, 1,
            between(1, kMostMicroBatches),
            "micro-batches of a step on each data-parallel rank");
  train.add("num_train_epochs", &Train::num_train_epochs, 3.0, above_to(0, 1e9),
            "passes over the data, where max_steps is not given");
  train.add("max_steps", &Train::max_steps, -1, between(-1, kMostSteps),
            "steps to train; -1: num_train_epochs decides; 0: train nothing, only save");
  train
      .add("max_time", &Train::max_time, {}, above(0),
           "a run that would go on for longer stops early, with a checkpoint and exit "
           "code 85; counted from the start of the program")
      .with_note(
          "As Lightning's max_time. What the next step and a save may take is kept "
          "free.");
  train.add("seed", &Train::seed, 42, between(0, kMostSeed), "seed of everything random");
}

void declare_memory(SectionKeys<Train>& train) {
  train.add("recompute_granularity", &Train::recompute_granularity,
            RecomputeGranularity::kNone, any_value(),
            "what the backward pass computes again instead of keeping it");
  train
      .add("recompute_method", &Train::recompute_method, RecomputeMethod::kUniform,
           any_value(),
           "full: uniform keeps the input of every group of recompute_num_layers layers; "
           "block recomputes that many layers of each stage")
      .with_note("uniform with one layer, as mcore_adapter where none is given.");
  train.add("recompute_num_layers", &Train::recompute_num_layers, 1,
            between(1, kMostSplit), "full: see recompute_method");
  train.add("recompute_modules", &Train::recompute_modules, {"core_attn"},
            one_of({"core_attn", "layernorm", "mlp_act", "mlp", "moe_act", "moe"}),
            "selective: the parts of a layer computed again");
  train
      .add("loss_average", &Train::loss_average, LossAverage::kToken, any_value(),
           "token: mean over all trained tokens of the step; sample_mean: mean of the "
           "micro-batches' means")
      .with_note(
          "The reference's Megatron path uses sample_mean, which depends on the "
          "batch layout.");
  train
      .add("balance_micro_batches", &Train::balance_micro_batches, false, any_value(),
           "share the samples of a step over ranks and micro-batches by their cost, "
           "attention included, instead of by their number")
      .with_note(
          "Not a key of the reference. Moves no loss but that of experts' balance.");
  train.add("deterministic", &Train::deterministic, false, any_value(),
            "equal runs agree bit for bit; options that cannot are refused");
  train.add("compat", &Train::compat, Compat::kNone, any_value(),
            "mca: shuffling, loss average and padding of LLaMA-Factory's Megatron path");
}

void declare_guards(SectionKeys<Train>& train) {
  train.add("on_nonfinite_step", &Train::on_nonfinite_step, NonFiniteStep::kStop,
            any_value(),
            "a loss or gradient norm that is not finite is never applied; stop: the run "
            "ends; skip: it goes on with the next step");
  train.add("hang_timeout", &Train::hang_timeout, 60.0, between(0, 1e9),
            "seconds without progress after which a hang is reported and the run ended; "
            "more where steps take long; 0: never");
  train.add("max_nonfinite_steps", &Train::max_nonfinite_steps, 3, between(1, kMostSteps),
            "skip: so many of them in a row end the run");
  train
      .add("check_weight_hash_across_dp_replicas_interval",
           &Train::check_weight_hash_across_dp_replicas_interval, 0,
           between(0, kMostSteps),
           "steps between comparisons of the weights that several ranks hold; 0: never")
      .with_note(
          "Megatron-LM's name; here it also covers tensor-parallel and tied copies.");
}

void declare_adam(SectionKeys<Optimizer>& optimizer) {
  optimizer.add("optim", &Optimizer::optim, "adamw", one_of({"adamw"}), "optimizer")
      .with_note("adamw_torch, adamw_torch_fused and adamw_hf mean adamw.");
  optimizer.add("learning_rate", &Optimizer::learning_rate, 5e-5, between(0, 1e30),
                "largest learning rate of the schedule");
  optimizer.add("adam_beta1", &Optimizer::adam_beta1, 0.9, from_below(0, 1),
                "decay of the first moment");
  optimizer.add("adam_beta2", &Optimizer::adam_beta2, 0.999, from_below(0, 1),
                "decay of the second moment");
  optimizer.add("adam_epsilon", &Optimizer::adam_epsilon, 1e-8, between(1e-37, 1),
                "added to the root of the second moment");
  optimizer.add("weight_decay", &Optimizer::weight_decay, 0.0, between(0, kMostWeight),
                "decoupled decay of matrices; norms and biases are never decayed");
  optimizer.add("max_grad_norm", &Optimizer::max_grad_norm, 1.0, between(0, 1e30),
                "gradients are scaled down to this norm; 0: never");
}

void declare_schedule(SectionKeys<Optimizer>& optimizer) {
  optimizer.add("lr_scheduler_type", &Optimizer::lr_scheduler_type, LrScheduler::kLinear,
                any_value(), "shape of the learning rate over the run");
  optimizer.add("warmup_steps", &Optimizer::warmup_steps, 0, between(0, kMostSteps),
                "steps from 0 to learning_rate; wins over warmup_ratio");
  optimizer.add("warmup_ratio", &Optimizer::warmup_ratio, 0.0, between(0, 1),
                "warm-up as a share of all steps");
  optimizer
      .add("min_lr", &Optimizer::min_lr, {}, between(0, kMostWeight),
           "where cosine_with_min_lr and warmup_stable_decay end")
      .with_note(
          "lr_scheduler_kwargs with min_lr, min_lr_rate or min_lr_ratio means this.");
  optimizer
      .add("lr_wsd_decay_iters", &Optimizer::lr_wsd_decay_iters, {},
           between(1, kMostSteps), "steps of the final decay of warmup_stable_decay")
      .with_note(
          "Megatron-LM's name; lr_scheduler_kwargs with num_decay_steps means this.");
  optimizer
      .add("lr_wsd_decay_style", &Optimizer::lr_wsd_decay_style, DecayStyle::kCosine,
           any_value(), "shape of that decay")
      .with_note("lr_scheduler_kwargs with decay_type means this; cosine as there.");
}

}  // namespace

void declare_train(std::vector<Key>& keys) {
  SectionKeys<Train> train(keys, "train", &Deck::train);
  declare_run(train);
  declare_memory(train);
  declare_guards(train);
}

void declare_optimizer(std::vector<Key>& keys) {
  SectionKeys<Optimizer> optimizer(keys, "optimizer", &Deck::optimizer);
  declare_adam(optimizer);
  declare_schedule(optimizer);
}

}  // namespace mtrain::config
