// Packs samples into micro-batches; the trainer and the evaluation draw from here.
#include "batches.hpp"

#include <ATen/ATen.h>

#include <algorithm>

#include "mtrain/base/error.hpp"

namespace mtrain::train {

data::SamplerOptions sampler_options(const config::Deck& deck,
                                     const data::TokenStoreReader& store, int dp_size) {
  return {store.num_rows(),
          deck.data.shuffle,
          static_cast<uint64_t>(deck.data.data_seed.value_or(deck.train.seed)),
          deck.train.per_device_train_batch_size,
          deck.train.gradient_accumulation_steps,
          dp_size};
}

data::SamplerOptions evaluation_options(const config::Deck& deck,
                                        const data::TokenStoreReader& store,
                                        int dp_size) {
  auto options = sampler_options(deck, store, dp_size);
  options.shuffle = false;
  options.gradient_accumulation_steps = 1;
  // Rows that are not there are left out of the batches.
  options.num_samples =
      std::max(options.num_samples, options.per_device_train_batch_size * dp_size);
  return options;
}

void append_sample(const data::Sample& sample, models::PackedTokens& out) {
  if (sample.input_ids.size() < 2) return;
  const size_t positions = sample.input_ids.size() - 1;
  for (size_t t = 0; t < positions; ++t) {
    const int32_t label = sample.labels[t + 1];
    out.ids.push_back(sample.input_ids[t]);
    out.targets.push_back(label == data::kIgnoreLabel ? -100 : label);
    out.weights.push_back(label == data::kIgnoreLabel ? 0.0f : 1.0f);
  }
  out.offsets.push_back(static_cast<int64_t>(out.ids.size()));
}

models::PackedTokens pad_documents(const models::PackedTokens& tokens,
                                   const Padding& padding) {
  int64_t longest = std::max<int64_t>(padding.least, 1);
  for (size_t d = 1; d < tokens.offsets.size(); ++d)
    longest = std::max(longest, tokens.offsets[d] - tokens.offsets[d - 1]);
  const int64_t length =
      (longest + padding.multiple - 1) / padding.multiple * padding.multiple;
  models::PackedTokens out;
  out.offsets = {0};
  const auto append = [&](auto& to, const auto& from, size_t d, auto fill) {
    to.insert(to.end(), from.begin() + tokens.offsets[d - 1],
              from.begin() + tokens.offsets[d]);
    to.resize(static_cast<size_t>(out.offsets.back() + length), fill);
  };
  for (size_t d = 1; d < tokens.offsets.size(); ++d) {
    append(out.ids, tokens.ids, d, padding.id);
    append(out.targets, tokens.targets, d, int64_t{data::kIgnoreLabel});
    append(out.weights, tokens.weights, d, 0.0f);
    out.offsets.push_back(out.offsets.back() + length);
  }
  return out;
}

int64_t trained_positions(const models::PackedTokens& micro_batch) {
  return std::count(micro_batch.weights.begin(), micro_batch.weights.end(), 1.0f);
}

void scale_weights(StepBatch& batch, config::LossAverage average,
                   comm::Communicator& data) {
  const bool by_token = average == config::LossAverage::kToken;
  int64_t count = 0;
  for (const auto& m : batch.micro_batches) {
    count += by_token ? trained_positions(m) : (trained_positions(m) > 0 ? 1 : 0);
  }
  const at::Tensor sums =
      at::tensor({static_cast<double>(count), static_cast<double>(batch.tokens),
                  batch.squared_lengths},
                 at::kDouble);
  data.all_reduce(sums, comm::Reduce::kSum);
  batch.tokens = sums[1].item().toLong();
  batch.squared_lengths = sums[2].item<double>();
  // A global batch in which nothing is trained has no loss; its update is plain weight
  // decay.
  const double all = std::max(1.0, sums[0].item<double>());
  for (auto& m : batch.micro_batches) {
    const auto own = static_cast<double>(std::max<int64_t>(1, trained_positions(m)));
    const auto weight = static_cast<float>(by_token ? 1.0 / all : 1.0 / (all * own));
    for (float& w : m.weights) w *= weight;
  }
}

BatchLoader::BatchLoader(data::TokenStoreReader& store,
                         const data::SamplerOptions& options, int dp_rank)
    : store_(store), options_(options), sampler_(options), dp_rank_(dp_rank) {}

BatchLoader::~BatchLoader() {
  if (next_.valid()) next_.wait();
}

// The store was found whole before training began.
data::Sample BatchLoader::sample(int64_t i) const {
  try {
    return store_.read(i);
  } catch (const UserError& error) {
    throw Error(error.what(),
                "bring the store back as it was; the same command goes on from the last "
                "checkpoint");
  }
}

models::PackedTokens BatchLoader::pack(const std::vector<int64_t>& rows) const {
  models::PackedTokens packed;
  packed.offsets = {0};
  for (const int64_t row : rows) {
    const auto [first, last] = store_.row_samples(row);
    for (int64_t i = first; i < last; ++i) append_sample(sample(i), packed);
  }
  if (packed.ids.empty()) {
    // The pipeline needs something to pass on even where no sample has two tokens.
    packed = {{0}, {-100}, {0.0f}, {0, 1}};
  }
  return padding_ && !store_.packed() ? pad_documents(packed, *padding_) : packed;
}

void BatchLoader::add(const std::vector<int64_t>& rows, StepBatch& batch) const {
  batch.micro_batches.push_back(pack(rows));
  if (reference_.empty()) return;
  batch.reference.emplace_back();
  for (const int64_t row : rows) {
    const auto [first, last] = store_.row_samples(row);
    for (int64_t i = first; i < last; ++i)
      batch.reference.back().push_back(reference_.at(static_cast<size_t>(i)));
  }
}

StepBatch BatchLoader::step(int64_t cursor) {
  const bool drawn = next_.valid() && next_cursor_ == cursor;
  StepBatch batch = drawn ? next_.get() : draw(cursor);
  next_cursor_ = sampler_.next(cursor);
  next_ = std::async(std::launch::async, [this, at = next_cursor_] { return draw(at); });
  return batch;
}

void BatchLoader::balance(DocumentTime time) {
  document_time_ = std::move(time);
  int64_t longest = 0;
  for (int64_t row = 0; row < store_.num_rows(); ++row)
    longest = std::max(longest, cost(row).tokens);
  most_tokens_ = longest * options_.per_device_train_batch_size;
}

data::RowCost BatchLoader::cost(int64_t row) const {
  data::RowCost cost{0, 0};
  const auto [first, last] = store_.row_samples(row);
  for (int64_t i = first; i < last; ++i) {
    const int64_t positions = std::max<int64_t>(0, store_.sample_length(i) - 1);
    cost.time += document_time_(positions);
    cost.tokens += positions;
  }
  return cost;
}

std::vector<std::vector<int64_t>> BatchLoader::shares(int64_t cursor) const {
  std::vector<std::vector<int64_t>> result;
  const int64_t count = options_.gradient_accumulation_steps;
  if (!document_time_) {
    for (int64_t m = 0; m < count; ++m)
      result.push_back(sampler_.micro_batch(cursor, m, dp_rank_));
    return result;
  }
  const std::vector<int64_t> rows = sampler_.global_batch(cursor);
  std::vector<data::RowCost> costs;
  for (const int64_t row : rows) costs.push_back(cost(row));
  const auto all =
      data::balanced_micro_batches(costs, {count, options_.dp_size, most_tokens_});
  for (int64_t m = 0; m < count; ++m) {
    result.emplace_back();
    for (const int64_t i : all[static_cast<size_t>(m * options_.dp_size + dp_rank_)])
      result.back().push_back(rows[static_cast<size_t>(i)]);
  }
  return result;
}

StepBatch BatchLoader::draw(int64_t cursor) const {
  StepBatch batch;
  for (const auto& rows : shares(cursor)) {
    add(rows, batch);
    const models::PackedTokens& packed = batch.micro_batches.back();
    batch.tokens += static_cast<int64_t>(packed.ids.size());
    for (size_t d = 1; d < packed.offsets.size(); ++d) {
      const auto length = static_cast<double>(packed.offsets[d] - packed.offsets[d - 1]);
      batch.squared_lengths += length * length;
    }
  }
  return batch;
}

int64_t BatchLoader::evaluation_steps() const {
  const int64_t each = sampler_.global_batch_size();
  return (store_.num_rows() + each - 1) / each;
}

StepBatch BatchLoader::evaluation_step(int64_t index) {
  StepBatch batch;
  const int64_t width = options_.per_device_train_batch_size;
  for (int64_t m = 0; m < options_.gradient_accumulation_steps; ++m) {
    const int64_t first =
        index * sampler_.global_batch_size() + (m * options_.dp_size + dp_rank_) * width;
    std::vector<int64_t> rows;
    for (int64_t row = first; row < std::min(first + width, store_.num_rows()); ++row) {
      rows.push_back(row);
    }
    batch.first_rows.push_back(first);
    add(rows, batch);
  }
  return batch;
}

}  // namespace mtrain::train
