// From samples of a token store to packed micro-batches with loss weights.
#pragma once

#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <vector>

#include "mtrain/comm/communicator.hpp"
#include "mtrain/config/deck.hpp"
#include "mtrain/data/balance.hpp"
#include "mtrain/data/sampler.hpp"
#include "mtrain/data/token_store.hpp"
#include "mtrain/models/model.hpp"

namespace mtrain::train {

/// The micro-batches of one data-parallel rank in one step. Tensor- and pipeline-parallel
/// ranks of the same data coordinate build the same ones, so lengths are never exchanged.
struct StepBatch {
  std::vector<models::PackedTokens> micro_batches;  ///< weights 1 at trained positions
  int64_t tokens = 0;  ///< that enter the model; of all ranks after scale_weights
  /// Sum over documents of length squared, for the flops of attention; of all ranks
  /// after scale_weights.
  double squared_lengths = 0;
  /// Per micro-batch, where the loader has them: log-probabilities of its answers under
  /// the reference model of preference training.
  std::vector<std::vector<double>> reference = {};
  std::vector<int64_t> first_rows = {};  ///< of an evaluation's micro-batches
};

/// Options of drawing from a store, as the deck has them.
data::SamplerOptions sampler_options(const config::Deck& deck,
                                     const data::TokenStoreReader& store, int dp_size);
/// The same for going through the store once, however few samples it has.
data::SamplerOptions evaluation_options(const config::Deck& deck,
                                        const data::TokenStoreReader& store, int dp_size);

/// Adds one sample of L tokens: the model runs over tokens 0..L-2, its targets are
/// labels 1..L-1.
void append_sample(const data::Sample& sample, models::PackedTokens& out);

/// How documents of a micro-batch are made equally long, where they are.
struct Padding {
  int64_t least = 0;     ///< positions
  int64_t multiple = 1;  ///< of positions
  int64_t id = 0;        ///< token that fills
};

/// Appends positions without a target to every document: all become as long as the
/// longest, at least `least`, rounded up to a multiple.
models::PackedTokens pad_documents(const models::PackedTokens& tokens,
                                   const Padding& padding);

/// Trained positions of a micro-batch.
int64_t trained_positions(const models::PackedTokens& micro_batch);

/// Scales the weights so that the sum of weight * loss over all ranks is the loss of the
/// step: the mean over all trained tokens of the global batch, or the mean of micro-batch
/// means. Sums the batch's counts over the ranks. Collective over `data`.
void scale_weights(StepBatch& batch, config::LossAverage average,
                   comm::Communicator& data);

/// Draws the batches of a run.
class BatchLoader {
 public:
  BatchLoader(data::TokenStoreReader& store, const data::SamplerOptions& options,
              int dp_rank);

  const data::Sampler& sampler() const { return sampler_; }
  /// Pads the micro-batches to come; rows of packed samples stay as they are.
  void pad(const Padding& padding) { padding_ = padding; }
  /// Time that a document of so many positions takes, in any unit.
  using DocumentTime = std::function<double(int64_t positions)>;
  /// Shares the rows of each step to come so that ranks and micro-batches take about as
  /// long; none holds more tokens than without it.
  void balance(DocumentTime time);
  ~BatchLoader();
  /// The batch of the step that starts at `cursor`. That of the step after it is read
  /// and packed meanwhile, on a thread of its own where HDF5 allows it.
  StepBatch step(int64_t cursor);
  /// Log-probabilities of the store's samples, to go with the batches to come.
  void reference(std::vector<double> of_samples) { reference_ = std::move(of_samples); }
  /// All samples of the store in order, once, as steps of equal shape on every rank.
  int64_t evaluation_steps() const;
  StepBatch evaluation_step(int64_t index);

 private:
  /// Sample i; an Error where the store is not what it was any more.
  data::Sample sample(int64_t i) const;
  models::PackedTokens pack(const std::vector<int64_t>& rows) const;
  /// Adds the micro-batch of these rows.
  void add(const std::vector<int64_t>& rows, StepBatch& batch) const;
  data::RowCost cost(int64_t row) const;
  /// Rows of this rank's micro-batches.
  std::vector<std::vector<int64_t>> shares(int64_t cursor) const;
  StepBatch draw(int64_t cursor) const;

  data::TokenStoreReader& store_;
  data::SamplerOptions options_;
  data::Sampler sampler_;
  int dp_rank_;
  std::optional<Padding> padding_;
  DocumentTime document_time_;  ///< where steps are balanced
  int64_t most_tokens_ = 0;     ///< of a micro-batch then
  std::vector<double> reference_;
  int64_t next_cursor_ = -1;  ///< what `next_` is drawn for
  std::future<StepBatch> next_;
};

}  // namespace mtrain::train
