// Owns supervised encoding: thoughts, truncation and labels; called by prepare(). Matches
// LLaMA-Factory's processor/supervised.py.
#include "sft_encoder.hpp"

#include <algorithm>

#include "thinking.hpp"

namespace mtrain::data {

KeptLengths kept_lengths(int64_t source, int64_t target, int64_t budget) {
  int64_t target_room = 0;
  if (target * 2 < budget)
    target_room = budget;
  else if (source * 2 < budget)
    target_room = budget - source;
  else
    target_room = static_cast<int64_t>(
        static_cast<double>(budget) *
        (static_cast<double>(target) / static_cast<double>(source + target)));
  const int64_t kept_target = std::min(target_room, target);
  return {std::min(std::max<int64_t>(budget - kept_target, 0), source), kept_target};
}

SftEncoder::SftEncoder(const SftOptions& options, const ChatTemplate& chat,
                       const Tokenizer& tokenizer)
    : options_(options), chat_(chat), empty_thought_(tokenizer.encode(kEmptyThought)) {}

std::vector<EncodedTurn> SftEncoder::encode_turns(const AlignedRecord& record) const {
  std::vector<Message> messages = record.prompt;
  messages.push_back(record.response[0]);
  if (!chat_.spec().reasoning) return chat_.encode(messages, record.system, record.tools);
  const bool drop_all = options_.enable_thinking == false;
  const bool drop_old = options_.mask_history && !options_.preserve_thinking;
  for (size_t i = 1; i < messages.size(); i += 2)
    if (drop_all || (drop_old && i + 1 < messages.size()))
      messages[i].content = without_thoughts(messages[i].content);
  auto turns = chat_.encode(messages, record.system, record.tools);
  add_empty_thoughts(messages, turns);
  return turns;
}

// The empty thought is trained when thinking is enabled, and part of the prompt
// otherwise.
void SftEncoder::add_empty_thoughts(const std::vector<Message>& messages,
                                    std::vector<EncodedTurn>& turns) const {
  const bool last_only = options_.mask_history && !options_.preserve_thinking;
  for (size_t i = last_only ? turns.size() - 1 : 0; i < turns.size(); ++i) {
    if (has_thought(messages[2 * i + 1].content)) continue;
    auto& ids = options_.enable_thinking == true ? turns[i].target : turns[i].source;
    const auto where = options_.enable_thinking == true ? ids.begin() : ids.end();
    ids.insert(where, empty_thought_.begin(), empty_thought_.end());
  }
}

// Spends cutoff_len turn by turn, with mask_history from the last one backwards; what
// gets nothing is emptied. True when anything was cut off.
bool SftEncoder::cut(std::vector<EncodedTurn>& turns) const {
  bool shorter = false;
  int64_t left = options_.cutoff_len;
  const auto cut_turn = [&](EncodedTurn& turn) {
    const auto source = static_cast<int64_t>(turn.source.size());
    const auto target = static_cast<int64_t>(turn.target.size());
    const KeptLengths kept =
        left > 0 ? kept_lengths(source, target, left) : KeptLengths{0, 0};
    turn.source.resize(static_cast<size_t>(kept.source));
    turn.target.resize(static_cast<size_t>(kept.target));
    left -= kept.source + kept.target;
    shorter = shorter || kept.source < source || kept.target < target;
  };
  if (options_.mask_history)
    std::for_each(turns.rbegin(), turns.rend(), cut_turn);
  else
    std::for_each(turns.begin(), turns.end(), cut_turn);
  return shorter;
}

Sample SftEncoder::encode(const AlignedRecord& record, int64_t& truncated) const {
  auto turns = encode_turns(record);
  if (cut(turns)) ++truncated;
  Sample sample;
  const auto add = [&](const std::vector<int32_t>& ids, bool trained) {
    sample.input_ids.insert(sample.input_ids.end(), ids.begin(), ids.end());
    if (trained)
      sample.labels.insert(sample.labels.end(), ids.begin(), ids.end());
    else
      sample.labels.insert(sample.labels.end(), ids.size(), kIgnoreLabel);
  };
  for (size_t i = 0; i < turns.size(); ++i) {
    const bool masked = options_.mask_history && i + 1 < turns.size();
    add(turns[i].source, options_.train_on_prompt);
    add(turns[i].target, !masked);
  }
  return sample;
}

}  // namespace mtrain::data
