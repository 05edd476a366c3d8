// Owns the encoding of preference pairs; called by the batch encoder. Matches
// LLaMA-Factory's processor/pairwise.py.
#include "pair_encoder.hpp"

#include <algorithm>

#include "thinking.hpp"

namespace mtrain::data {
namespace {

void append(std::vector<int32_t>& ids, const std::vector<int32_t>& more, int64_t count) {
  ids.insert(ids.end(), more.begin(), more.begin() + count);
}

Sample joined(const std::vector<int32_t>& prompt, const std::vector<int32_t>& answer,
              const KeptLengths& kept) {
  Sample sample;
  const auto length = static_cast<int64_t>(answer.size());
  append(sample.input_ids, prompt, kept.source);
  sample.labels.assign(static_cast<size_t>(kept.source), kIgnoreLabel);
  append(sample.input_ids, answer, std::min(kept.target, length));
  append(sample.labels, answer, std::min(kept.target, length));
  return sample;
}

}  // namespace

PairEncoder::PairEncoder(const SftOptions& options, const ChatTemplate& chat,
                         const Tokenizer& tokenizer)
    : options_(options), chat_(chat), empty_thought_(tokenizer.encode(kEmptyThought)) {}

// All but the last message are the source, since history is never trained. Only the last
// response gets an empty thought.
EncodedTurn PairEncoder::encode_side(std::vector<Message> messages,
                                     const AlignedRecord& record) const {
  const bool reasoning = chat_.spec().reasoning;
  for (size_t i = 1; reasoning && i < messages.size(); i += 2) {
    const bool last = i + 1 == messages.size();
    if (last ? options_.enable_thinking == false : !options_.preserve_thinking)
      messages[i].content = without_thoughts(messages[i].content);
  }
  auto turns = chat_.encode(messages, record.system, record.tools);
  EncodedTurn whole;
  for (size_t i = 0; i < turns.size(); ++i) {
    append(whole.source, turns[i].source, static_cast<int64_t>(turns[i].source.size()));
    auto& target = i + 1 < turns.size() ? whole.source : whole.target;
    append(target, turns[i].target, static_cast<int64_t>(turns[i].target.size()));
  }
  if (!reasoning || has_thought(messages.back().content)) return whole;
  if (options_.enable_thinking == true)
    whole.target.insert(whole.target.begin(), empty_thought_.begin(),
                        empty_thought_.end());
  else
    whole.source.insert(whole.source.end(), empty_thought_.begin(), empty_thought_.end());
  return whole;
}

// Both sides have the prompt of the chosen one, even where thoughts make them differ.
std::pair<Sample, Sample> PairEncoder::encode(const AlignedRecord& record,
                                              int64_t& truncated) const {
  std::vector<Message> messages = record.prompt;
  messages.push_back(record.response[0]);
  const EncodedTurn chosen = encode_side(messages, record);
  messages.back() = record.response[1];
  const EncodedTurn rejected = encode_side(messages, record);
  const auto source = static_cast<int64_t>(chosen.source.size());
  const auto target =
      static_cast<int64_t>(std::max(chosen.target.size(), rejected.target.size()));
  const KeptLengths kept = kept_lengths(source, target, options_.cutoff_len);
  if (kept.source < source || kept.target < target) ++truncated;
  return {joined(chosen.source, chosen.target, kept),
          joined(chosen.source, rejected.target, kept)};
}

}  // namespace mtrain::data
