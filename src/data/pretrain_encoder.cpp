// Owns the encoding for stage pt; called by prepare(). Matches LLaMA-Factory's
// processor/pretrain.py: with packing, the ids of each batch of records are joined and
// cut into blocks of cutoff_len, and what is left of a batch is dropped.
#include "pretrain_encoder.hpp"

#include <algorithm>

namespace mtrain::data {

PretrainEncoder::PretrainEncoder(const PretrainOptions& options,
                                 const StageTokens& tokens, const Tokenizer& tokenizer,
                                 std::function<void(Sample&&)> take)
    : options_(options), tokens_(tokens), tokenizer_(tokenizer), take_(std::move(take)) {}

void PretrainEncoder::add(const AlignedRecord& record) {
  tokenizer_.encode_append(record.prompt[0].content + tokens_.eos, pending_);
  if (!options_.packing) {
    const auto size = std::min(pending_.size(), static_cast<size_t>(options_.cutoff_len));
    emit({pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(size)});
    pending_.clear();
  } else if (++in_batch_ == options_.preprocessing_batch_size) {
    end_batch();
  }
}

void PretrainEncoder::finish() {
  if (options_.packing) end_batch();
}

void PretrainEncoder::end_batch() {
  const auto block = static_cast<std::ptrdiff_t>(options_.cutoff_len);
  for (auto at = pending_.begin(); pending_.end() - at >= block; at += block)
    emit({at, at + block});
  pending_.clear();
  in_batch_ = 0;
}

// The padding token is never trained, not even where it is the end-of-text token as well.
void PretrainEncoder::emit(std::vector<int32_t> ids) {
  Sample sample{std::move(ids), {}};
  sample.labels = sample.input_ids;
  std::replace(sample.labels.begin(), sample.labels.end(), tokens_.pad_id, kIgnoreLabel);
  take_(std::move(sample));
}

}  // namespace mtrain::data
