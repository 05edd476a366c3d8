// Saving, resuming and exporting a training run.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mtrain/checkpoint/training_checkpoint.hpp"
#include "mtrain/comm/session.hpp"
#include "mtrain/config/deck.hpp"
#include "mtrain/models/model.hpp"
#include "mtrain/parallel/optimizer.hpp"
#include "side_files.hpp"

namespace mtrain::train {

/// Throws UserError unless training can go on from the checkpoint: it has optimizer
/// state, or no step is done yet.
void require_moments(const checkpoint::CheckpointReader& reader);

/// Fills weights, master weights and, where stored, moments from a checkpoint of any
/// layout.
void restore(const checkpoint::CheckpointReader& reader, parallel::ParamBuffer& buffer,
             parallel::Optimizer& optimizer);

/// The weights of a checkpoint: fp32 master weights, or weights alone where it has no
/// others.
const checkpoint::TensorSource& weights_of(const checkpoint::CheckpointReader& reader);

/// Fields of TrainingState::extra.
inline constexpr char kDtypeField[] = "dtype";  ///< of the run's weights
/// Sum of the losses since the last log line, and its steps: what the next line averages.
inline constexpr char kIntervalLossField[] = "interval_loss";
inline constexpr char kIntervalStepsField[] = "interval_steps";
inline constexpr char kIntervalRewardsField[] = "interval_rewards";

/// dtype of the weights of the run that saved `state`.
at::ScalarType saved_dtype(const checkpoint::TrainingState& state);

/// What an export writes beside the weights, and how.
struct HfExport {
  std::filesystem::path folder;
  std::string config_text;                      ///< config.json of the model
  std::shared_ptr<const SideFiles> side_files;  ///< needed on rank 0 only
  at::ScalarType dtype;
  int64_t max_shard_bytes;
};

/// The tensors of the export in the order they are written.
std::vector<checkpoint::TensorInfo> tensor_plan(const HfExport& options);
/// Writes a Hugging Face folder from a checkpoint, every tensor once, in bounded memory,
/// the work split over the ranks. Collective.
void export_hf(const checkpoint::CheckpointReader& reader, const HfExport& options,
               const comm::Session& session);

/// Default of max_shard_size, as save_pretrained's.
inline constexpr int64_t kMaxShardBytes = 5'000'000'000;

}  // namespace mtrain::train
