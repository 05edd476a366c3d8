// Owns the encoding for stage pt; called by the batch encoder. Matches LLaMA-Factory's
// processor/pretrain.py: with packing, the ids of each batch of records are joined and
// cut into blocks of cutoff_len, and what is left of a batch is dropped.
#include "pretrain_encoder.hpp"

#include <algorithm>

namespace mtrain::data {

PretrainEncoder::PretrainEncoder(const PretrainOptions& options, StageTokens tokens,
                                 const Tokenizer& tokenizer)
    : options_(options), tokens_(std::move(tokens)), tokenizer_(tokenizer) {}

void PretrainEncoder::add(const std::string& text, int64_t& truncated) {
  tokenizer_.encode_append(text + tokens_.eos, pending_);
  if (options_.packing) return;
  const size_t kept = std::min(pending_.size(), static_cast<size_t>(options_.cutoff_len));
  if (kept < pending_.size()) ++truncated;
  samples_.push_back(sample(pending_.data(), kept));
  pending_.clear();
}

void PretrainEncoder::end_batch(std::vector<Sample>& out) {
  const auto block = static_cast<size_t>(options_.cutoff_len);
  for (size_t at = 0; pending_.size() - at >= block; at += block)
    out.push_back(sample(pending_.data() + at, block));
  pending_.clear();
  for (Sample& done : samples_) out.push_back(std::move(done));
  samples_.clear();
}

// The padding token is never trained, not even where it is the end-of-text token as well.
Sample PretrainEncoder::sample(const int32_t* first, size_t count) const {
  Sample result{{first, first + count}, {first, first + count}};
  std::replace(result.labels.begin(), result.labels.end(), tokens_.pad_id, kIgnoreLabel);
  return result;
}

}  // namespace mtrain::data
