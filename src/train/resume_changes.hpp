// What differs between a checkpoint and the run that goes on from it.
#pragma once

#include <string>

#include "model_files.hpp"
#include "mtrain/checkpoint/training_checkpoint.hpp"
#include "mtrain/config/deck.hpp"

namespace mtrain::train {

/// What a run trains on, as a checkpoint remembers it.
struct TrainedData {
  std::string content;  ///< hash of all tokens, labels and their division
  int64_t rows = 0;     ///< samples, packed rows or pairs
};

/// Fields of TrainingState::extra.
inline constexpr char kDataContentField[] = "data_content";
inline constexpr char kDataRowsField[] = "data_rows";
inline constexpr char kGlobalBatchField[] = "global_batch";  ///< samples of a step
inline constexpr char kFirstBatchField[] = "first_batch";    ///< when the run began

/// Lists how deck and model differ from those the checkpoint was trained with. Throws
/// UserError where that changes what is trained, unless accept_changes = true. Alike on
/// all ranks.
void check_changes(const checkpoint::CheckpointReader& reader, const config::Deck& deck,
                   const ModelDescription& description, int world_size);

/// The same before a run, on one process: of the checkpoint it would go on from, of which
/// nothing but the manifest and the deck is read.
void check_resuming(const config::Deck& deck, const ModelDescription& description,
                    int world_size);

/// The same for the samples.
void check_data(const checkpoint::TrainingState& state, const TrainedData& now,
                const config::Deck& deck);

/// Samples of a step when the run began that `reader` holds: what it remembers, else what
/// its deck says, else `now`.
int64_t first_batch(const checkpoint::CheckpointReader& reader, int64_t now);

/// The data cursor of the checkpoint for a store of `rows`: where their number changed,
/// the same share of the same epoch.
int64_t carried_cursor(const checkpoint::TrainingState& state, int64_t rows);

}  // namespace mtrain::train
