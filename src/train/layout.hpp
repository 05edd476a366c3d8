// From the deck to the layout: grid sizes, layer split, model options.
#pragma once

#include "mtrain/comm/rank_grid.hpp"
#include "mtrain/config/deck.hpp"
#include "mtrain/models/model.hpp"
#include "mtrain/parallel/data_parallel.hpp"
#include "mtrain/parallel/layer_split.hpp"
#include "mtrain/parallel/optimizer.hpp"
#include "mtrain/parallel/schedule.hpp"

namespace mtrain::train {

kernels::AttentionBackend attention_backend(config::AttentionBackend wanted);
comm::GridSizes grid_sizes(const config::Parallel& parallel, int world_size);

/// Layers of each virtual stage. Throws UserError when they do not divide.
std::vector<parallel::LayerRange> layer_split(const config::Parallel& parallel,
                                              int layers);

/// The split that these keys ask for.
parallel::LayerSplitOptions split_options(const config::Parallel& parallel, int layers);
/// Sets the keys of an uneven split.
void set_split(config::Parallel& parallel, const parallel::LayerSplitOptions& split);

/// Model chunks per pipeline stage.
int chunks_per_stage(const config::Parallel& parallel);

parallel::DataParallelOptions data_parallel_options(const config::Parallel& parallel);
parallel::AdamWOptions adamw_options(const config::Optimizer& optimizer);
parallel::ScheduleShape schedule_shape(const config::Deck& deck, int micro_batches);

/// dtype of the weights: the deck's, or the model's own for "auto".
at::ScalarType weights_dtype(const config::Model& model,
                             const models::ModelConfig& config);

models::ModelOptions model_options(const config::Deck& deck,
                                   const models::ModelConfig& config, at::Device device);

/// Everything about the model that this layout cannot do, in one UserError.
void check_layout(const config::Deck& deck, const models::ModelConfig& config,
                  int world_size);

/// "tp2 pp2 dp1": for banners and checkpoints.
std::string layout_name(const config::Parallel& parallel, int world_size);

}  // namespace mtrain::train
