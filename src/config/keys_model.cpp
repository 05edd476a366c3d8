// Owns the declarations of [model], [parallel], [kernels] and [moe]; read by the key
// table.
#include "key_table.hpp"

namespace mtrain::config {

void declare_model(std::vector<Key>& keys) {
  SectionKeys<Model> model(keys, "model", &Deck::model);
  model
      .add_path(
          "model_name_or_path", &Model::model_name_or_path, "",
          "folder with config.json, safetensors and tokenizer files in Hugging Face "
          "format, or the name of a model downloaded before (Qwen/Qwen3-0.6B)")
      .with_note("Nothing is downloaded: see getting-started.md.");
  model
      .add_path("model_config", &Model::model_config, "",
                "config.json of a model to start from random weights; instead of "
                "model_name_or_path")
      .with_note("Not a key of the reference, which always starts from weights.");
  model.add("model_revision", &Model::model_revision, "main", any_value(),
            "branch, tag or commit of a downloaded model; without effect on a folder");
  model.add_path("cache_dir", &Model::cache_dir, "",
                 "folder of downloaded models; empty: HF_HUB_CACHE, HF_HOME/hub or "
                 "~/.cache/huggingface/hub");
  model.add("init_seed", &Model::init_seed, 42, at_least(0),
            "seed of the random weights of model_config");
  model
      .add("dtype", &Model::dtype, "auto", one_of({"auto", "float32", "bfloat16"}),
           "type of weights and activations; auto: what config.json says")
      .with_note("bf16 = true means dtype = bfloat16.");
  model
      .add_path("resume_from_checkpoint", &Model::resume_from_checkpoint, "auto",
                "auto (or true): newest checkpoint in output_dir, if any; none (or "
                "false): start anew; or a checkpoint folder")
      .with_note(
          "auto is the default with overwrite_output_dir = true as well. A run that none "
          "or a folder began goes on with its own checkpoints when it is started again.");
}

namespace {

void declare_sizes(SectionKeys<Parallel>& parallel) {
  parallel.add("tensor_model_parallel_size", &Parallel::tensor_model_parallel_size, 1,
               between(1, kMostSplit), "ranks that share each matrix (tp)");
  parallel.add("pipeline_model_parallel_size", &Parallel::pipeline_model_parallel_size, 1,
               between(1, kMostSplit), "pipeline stages (pp)");
  parallel.add("virtual_pipeline_model_parallel_size",
               &Parallel::virtual_pipeline_model_parallel_size, {},
               between(1, kMostSplit),
               "model chunks per stage for the interleaved schedule; null: one");
  parallel.add("context_parallel_size", &Parallel::context_parallel_size, 1,
               between(1, kMostSplit), "ranks that share each sequence (cp)");
  parallel
      .add("expert_model_parallel_size", &Parallel::expert_model_parallel_size, 1,
           between(1, kMostSplit), "ranks that share the experts of a layer (ep)")
      .with_note(
          "Experts fold into dp * cp (and tp when expert_tensor_parallel_size = 1); "
          "ep never multiplies the number of ranks.");
  parallel
      .add("expert_tensor_parallel_size", &Parallel::expert_tensor_parallel_size, 1,
           between(1, kMostSplit), "ranks that share each expert's matrices (etp)")
      .with_note("1 as in mcore_adapter; Megatron-LM takes tensor_model_parallel_size.");
  parallel.add("sequence_parallel", &Parallel::sequence_parallel, false, any_value(),
               "split norms and residuals over the tp ranks; needs tp > 1");
}

void declare_overlaps(SectionKeys<Parallel>& parallel) {
  parallel.add("use_distributed_optimizer", &Parallel::use_distributed_optimizer, false,
               any_value(), "split master weights and Adam moments over the dp ranks");
  parallel.add("overlap_grad_reduce", &Parallel::overlap_grad_reduce, false, any_value(),
               "reduce gradients while the backward pass still runs");
  parallel.add("overlap_param_gather", &Parallel::overlap_param_gather, false,
               any_value(), "gather updated weights while the next forward pass runs");
  parallel.add("overlap_p2p_comm", &Parallel::overlap_p2p_comm, true, any_value(),
               "overlap pipeline transfers with computation");
  parallel
      .add("overlap_moe_expert_parallel_comm",
           &Parallel::overlap_moe_expert_parallel_comm, false, any_value(),
           "exchange tokens of one micro-batch while another computes")
      .with_note(
          "Runs the forward pass of one micro-batch with the backward pass of another. "
          "Keeps more micro-batches: the plan says how many.");
}

void declare_split(SectionKeys<Parallel>& parallel) {
  parallel.add("account_for_embedding_in_pipeline_split",
               &Parallel::account_for_embedding_in_pipeline_split, false, any_value(),
               "count the embedding as one layer of the first stage");
  parallel.add("account_for_loss_in_pipeline_split",
               &Parallel::account_for_loss_in_pipeline_split, false, any_value(),
               "count the loss head as one layer of the last stage");
  parallel.add("num_layers_in_first_pipeline_stage",
               &Parallel::num_layers_in_first_pipeline_stage, {}, between(1, kMostSplit),
               "layers of the first stage; null: an even share");
  parallel.add("num_layers_in_last_pipeline_stage",
               &Parallel::num_layers_in_last_pipeline_stage, {}, between(1, kMostSplit),
               "layers of the last stage; null: an even share");
  parallel.add("backend", &Parallel::backend, Backend::kAuto, any_value(),
               "communication library; auto: nccl on cuda, mpi on cpu");
  parallel.add("device", &Parallel::device, Device::kAuto, any_value(),
               "where tensors live; auto: cuda when this build and machine have it");
}

}  // namespace

void declare_parallel(std::vector<Key>& keys) {
  SectionKeys<Parallel> parallel(keys, "parallel", &Deck::parallel);
  declare_sizes(parallel);
  declare_overlaps(parallel);
  declare_split(parallel);
}

void declare_kernels(std::vector<Key>& keys) {
  const std::string why =
      "The reference's default is false; here the fused operator is the only one.";
  SectionKeys<Kernels> kernels(keys, "kernels", &Deck::kernels);
  kernels
      .add("bias_activation_fusion", &Kernels::bias_activation_fusion, true, any_value(),
           "SwiGLU in one operator")
      .with_note(why);
  kernels
      .add("apply_rope_fusion", &Kernels::apply_rope_fusion, true, any_value(),
           "rotary embedding in one operator")
      .with_note(why);
  kernels
      .add("moe_grouped_gemm", &Kernels::moe_grouped_gemm, true, any_value(),
           "all local experts in one grouped matrix product")
      .with_note(why);
  kernels
      .add("moe_permute_fusion", &Kernels::moe_permute_fusion, true, any_value(),
           "sorting tokens by expert in one operator")
      .with_note(why);
  kernels.add("attention_backend", &Kernels::attention_backend, AttentionBackend::kAuto,
              any_value(), "implementation of attention; auto: the fastest that fits");
}

void declare_moe(std::vector<Key>& keys) {
  SectionKeys<Moe> moe(keys, "moe", &Deck::moe);
  moe.add("moe_token_dispatcher_type", &Moe::moe_token_dispatcher_type,
          TokenDispatcher::kAllToAll, any_value(),
          "how tokens reach their experts' ranks")
      .with_note(
          "mcore_adapter's default is allgather, which it replaces by alltoall "
          "wherever lengths vary; here they always may.");
  moe.add("moe_aux_loss_coeff", &Moe::moe_aux_loss_coeff, 0.0, between(0, kMostWeight),
          "weight of the load-balancing loss of each layer")
      .with_note(
          "The reference silently takes the coefficient of config.json; compat = mca "
          "does "
          "as it, and says so.");
  moe.add("moe_z_loss_coeff", &Moe::moe_z_loss_coeff, 0.0, between(0, kMostWeight),
          "weight of the router's z-loss");
  moe.add("moe_router_dtype", &Moe::moe_router_dtype, "fp32", one_of({"fp32", "fp64"}),
          "precision of the router's products; softmax and weights are fp32 in any case")
      .with_note("The reference uses fp32 too from 32 experts on.");
  moe.add("moe_expert_capacity_factor", &Moe::moe_expert_capacity_factor, {},
          above_to(0, kMostWeight),
          "tokens an expert accepts, as a multiple of the even share; null: no limit")
      .with_note(
          "Counted over the tokens that one rank routes of a micro-batch, as in "
          "Megatron-LM: what is dropped depends on layout and micro-batch.");
  moe.add("moe_pad_expert_input_to_capacity", &Moe::moe_pad_expert_input_to_capacity,
          false, any_value(),
          "pad each expert's input to its capacity; changes no result");
}

}  // namespace mtrain::config
