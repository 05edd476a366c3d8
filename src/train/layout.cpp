// Translates deck sections into the plain options the lower layers take.
#include "layout.hpp"

#include "mtrain/base/error.hpp"

namespace mtrain::train {
namespace {

nn::SelectiveRecompute selective_modules(const config::Train& train) {
  nn::SelectiveRecompute selected;
  for (const auto& name : train.recompute_modules) {
    if (name == "layernorm") selected.norms = true;
    if (name == "core_attn") selected.core = true;
    if (name == "mlp_act") selected.activation = true;
    if (name == "mlp") selected.mlp = true;
    if (name == "moe") selected.moe = true;
  }
  return selected;
}

models::Recompute recompute_options(const config::Train& train) {
  using config::RecomputeGranularity;
  models::Recompute recompute;
  if (train.recompute_granularity == RecomputeGranularity::kSelective) {
    recompute.selective = selective_modules(train);
  }
  if (train.recompute_granularity != RecomputeGranularity::kFull) return recompute;
  recompute.full = train.recompute_method == config::RecomputeMethod::kUniform
                       ? models::Recompute::Full::kUniform
                       : models::Recompute::Full::kBlock;
  recompute.layers = train.recompute_num_layers;
  return recompute;
}

bool fits(const comm::GridSizes& sizes, const models::ModelConfig& config) {
  const int64_t dense = int64_t{sizes.tensor} * sizes.context * sizes.pipeline;
  const int64_t sparse = int64_t{sizes.expert} * sizes.expert_tensor * sizes.pipeline;
  return sizes.world % dense == 0 && sizes.world % sparse == 0 &&
         config.layout_faults(sizes).empty();
}

/// "choose a KEY of 1 or 2": sizes of one axis up to the one asked for that fit model and
/// ranks; empty where none does.
std::string fitting_sizes(const std::string& key, int comm::GridSizes::*axis,
                          const comm::GridSizes& asked,
                          const models::ModelConfig& config) {
  std::vector<int> fitting;
  comm::GridSizes sizes = asked;
  for (sizes.*axis = 1; sizes.*axis < asked.*axis; ++(sizes.*axis))
    if (fits(sizes, config)) fitting.push_back(sizes.*axis);
  if (fitting.empty()) return "";
  return cat(key.starts_with('e') ? "choose an " : "choose a ", key, " of ",
             join(fitting, " or "));
}

/// Which sizes to change for a layout that the model cannot have.
std::string layout_remedy(const comm::GridSizes& asked,
                          const models::ModelConfig& config) {
  std::vector<std::string> ways;
  const std::pair<const char*, int comm::GridSizes::*> axes[] = {
      {"tensor_model_parallel_size", &comm::GridSizes::tensor},
      {"expert_model_parallel_size", &comm::GridSizes::expert},
      {"expert_tensor_parallel_size", &comm::GridSizes::expert_tensor}};
  for (const auto& [key, axis] : axes) {
    const std::string way = fitting_sizes(key, axis, asked, config);
    if (!way.empty()) ways.push_back(way);
  }
  if (ways.empty())
    ways.emplace_back(
        "write 1 for each of tensor_model_parallel_size, expert_model_parallel_size and "
        "expert_tensor_parallel_size, and go up from there");
  return join(ways, ", or ");
}

}  // namespace

kernels::AttentionBackend attention_backend(config::AttentionBackend wanted) {
  switch (wanted) {
    case config::AttentionBackend::kCudnn:
      return kernels::AttentionBackend::kCudnn;
    case config::AttentionBackend::kFlash:
      return kernels::AttentionBackend::kFlash;
    case config::AttentionBackend::kUnfused:
      return kernels::AttentionBackend::kUnfused;
    default:
      return kernels::AttentionBackend::kAuto;
  }
}

comm::GridSizes grid_sizes(const config::Parallel& p, int world_size) {
  return {world_size,
          p.tensor_model_parallel_size,
          p.context_parallel_size,
          p.expert_model_parallel_size,
          p.expert_tensor_parallel_size,
          p.pipeline_model_parallel_size};
}

int chunks_per_stage(const config::Parallel& p) {
  return p.virtual_pipeline_model_parallel_size.value_or(1);
}

std::vector<parallel::LayerRange> layer_split(const config::Parallel& p, int layers) {
  return parallel::split_layers(split_options(p, layers));
}

parallel::LayerSplitOptions split_options(const config::Parallel& p, int layers) {
  return {layers,
          p.pipeline_model_parallel_size,
          chunks_per_stage(p),
          p.num_layers_in_first_pipeline_stage,
          p.num_layers_in_last_pipeline_stage,
          p.account_for_embedding_in_pipeline_split,
          p.account_for_loss_in_pipeline_split};
}

void set_split(config::Parallel& p, const parallel::LayerSplitOptions& split) {
  p.num_layers_in_first_pipeline_stage = split.first_stage_layers;
  p.num_layers_in_last_pipeline_stage = split.last_stage_layers;
  p.account_for_embedding_in_pipeline_split = split.account_for_embedding;
  p.account_for_loss_in_pipeline_split = split.account_for_loss;
}

parallel::DataParallelOptions data_parallel_options(const config::Parallel& p) {
  return {p.use_distributed_optimizer, p.overlap_grad_reduce, p.overlap_param_gather};
}

parallel::AdamWOptions adamw_options(const config::Optimizer& o) {
  return {o.adam_beta1, o.adam_beta2, o.adam_epsilon, o.weight_decay, o.max_grad_norm};
}

parallel::ScheduleShape schedule_shape(const config::Deck& deck, int micro_batches) {
  return {deck.parallel.pipeline_model_parallel_size, chunks_per_stage(deck.parallel),
          micro_batches, deck.parallel.overlap_p2p_comm,
          deck.parallel.overlap_moe_expert_parallel_comm};
}

at::ScalarType weights_dtype(const config::Model& model,
                             const models::ModelConfig& config) {
  if (model.dtype == "float32") return at::kFloat;
  if (model.dtype == "bfloat16") return at::kBFloat16;
  // fp16 weights have no master-weight path of their own; their range fits bf16's
  // exponent.
  return config.dtype() == at::kFloat ? at::kFloat : at::kBFloat16;
}

models::ModelOptions model_options(const config::Deck& deck,
                                   const models::ModelConfig& config, at::Device device) {
  // Megatron-LM's default bucket: large enough for full bandwidth, small enough to
  // overlap.
  constexpr int64_t kBucketElements = 40'000'000;
  return {
      weights_dtype(deck.model, config),
      device,
      deck.parallel.sequence_parallel,
      recompute_options(deck.train),
      {0.0, attention_backend(deck.kernels.attention_backend), deck.train.deterministic},
      layer_split(deck.parallel, config.layers()),
      chunks_per_stage(deck.parallel),
      kBucketElements,
      {deck.moe.moe_token_dispatcher_type == config::TokenDispatcher::kAllGather
           ? nn::DispatcherKind::kAllGather
           : nn::DispatcherKind::kAllToAll,
       deck.moe.moe_aux_loss_coeff, deck.moe.moe_z_loss_coeff,
       deck.moe.moe_expert_capacity_factor,
       deck.moe.moe_router_dtype == "fp64" ? at::kDouble : at::kFloat}};
}

void check_layout(const config::Deck& deck, const models::ModelConfig& config,
                  int world_size) {
  const auto sizes = grid_sizes(deck.parallel, world_size);
  auto faults = config.layout_faults(sizes);
  std::vector<std::string> remedies;
  if (!faults.empty()) remedies.push_back(layout_remedy(sizes, config));
  try {
    layer_split(deck.parallel, config.layers());
  } catch (const UserError& error) {
    faults.push_back(error.what());
    remedies.push_back(error.remedy());
  }
  if (faults.empty()) return;
  throw UserError(join(faults, "\n  "), join(remedies, "; "));
}

std::string layout_name(const config::Parallel& p, int world_size) {
  const int tensor = p.tensor_model_parallel_size,
            pipeline = p.pipeline_model_parallel_size;
  const int data = world_size / (tensor * pipeline * p.context_parallel_size);
  std::string name = cat("tp", tensor, " pp", pipeline);
  if (p.virtual_pipeline_model_parallel_size) {
    name += cat(" vpp", *p.virtual_pipeline_model_parallel_size);
  }
  name += cat(" dp", data);
  if (p.expert_model_parallel_size > 1) name += cat(" ep", p.expert_model_parallel_size);
  if (p.expert_tensor_parallel_size > 1)
    name += cat(" etp", p.expert_tensor_parallel_size);
  if (p.sequence_parallel) name += " sp";
  if (p.use_distributed_optimizer) name += " distributed-optimizer";
  return name;
}

}  // namespace mtrain::train
