// Owns the encoding for stage pt; called by the batch encoder. Matches LLaMA-Factory's
// processor/pretrain.py but for pieces, which it does not have.
#include "pretrain_encoder.hpp"

#include <algorithm>

namespace mtrain::data {

PretrainEncoder::PretrainEncoder(const PretrainOptions& options, StageTokens tokens,
                                 const Tokenizer& tokenizer)
    : options_(options), tokens_(std::move(tokens)), tokenizer_(tokenizer) {}

void PretrainEncoder::add(const std::string& text, int64_t& truncated) {
  tokenizer_.encode_append(text + tokens_.eos, pending_);
  const auto most = static_cast<size_t>(options_.cutoff_len);
  if (options_.cut == TextCut::kBlocks) return;
  if (options_.cut == TextCut::kTruncate && pending_.size() > most) {
    ++truncated;
    pending_.resize(most);
  }
  for (size_t at = 0; at < pending_.size(); at += most)
    samples_.push_back(
        sample(pending_.data() + at, std::min(most, pending_.size() - at)));
  pending_.clear();
}

void PretrainEncoder::end_batch(std::vector<Sample>& out) {
  const auto block = static_cast<size_t>(options_.cutoff_len);
  for (size_t at = 0; pending_.size() - at >= block; at += block)
    samples_.push_back(sample(pending_.data() + at, block));
  pending_ = {};  // which may have been long
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
