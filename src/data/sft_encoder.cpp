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

SftEncoder::SftEncoder(const SftOptions& options, const TemplateSpec& spec,
                       const Tokenizer& tokenizer,
                       const std::optional<std::string>& default_system)
    : options_(options),
      reasoning_(spec.reasoning),
      template_(spec, tokenizer, default_system),
      empty_thought_(tokenizer.encode(kEmptyThought)) {}

std::vector<EncodedTurn> SftEncoder::encode_turns(const AlignedRecord& record) const {
  std::vector<Message> messages = record.prompt;
  messages.push_back(record.response[0]);
  if (!reasoning_) return template_.encode(messages, record.system);
  const bool drop_all = options_.enable_thinking == false;
  const bool drop_old = options_.mask_history && !options_.preserve_thinking;
  for (size_t i = 1; i < messages.size(); i += 2)
    if (drop_all || (drop_old && i + 1 < messages.size()))
      messages[i].content = without_thoughts(messages[i].content);
  auto turns = template_.encode(messages, record.system);
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
// gets nothing is emptied.
void SftEncoder::cut(std::vector<EncodedTurn>& turns) const {
  int64_t left = options_.cutoff_len;
  const auto cut_turn = [&](EncodedTurn& turn) {
    const auto source = static_cast<int64_t>(turn.source.size());
    const auto target = static_cast<int64_t>(turn.target.size());
    const KeptLengths kept =
        left > 0 ? kept_lengths(source, target, left) : KeptLengths{0, 0};
    turn.source.resize(static_cast<size_t>(kept.source));
    turn.target.resize(static_cast<size_t>(kept.target));
    left -= kept.source + kept.target;
  };
  if (options_.mask_history)
    std::for_each(turns.rbegin(), turns.rend(), cut_turn);
  else
    std::for_each(turns.begin(), turns.end(), cut_turn);
}

std::optional<Sample> SftEncoder::encode(const AlignedRecord& record) const {
  if (record.prompt.size() % 2 != 1 || record.response.size() != 1) return std::nullopt;
  auto turns = encode_turns(record);
  cut(turns);
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
