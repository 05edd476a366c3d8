// From a conversation to ids and labels, cut to cutoff_len.
#pragma once

#include <cstdint>
#include <optional>

#include "aligned_record.hpp"
#include "chat_template.hpp"
#include "mtrain/data/sample.hpp"

namespace mtrain::data {

/// Values of the deck keys of the same names.
struct SftOptions {
  int64_t cutoff_len;
  bool train_on_prompt;
  bool mask_history;
  std::optional<bool> enable_thinking;
  bool preserve_thinking;
};

class SftEncoder {
 public:
  /// `chat` must outlive the encoder.
  SftEncoder(const SftOptions& options, const ChatTemplate& chat,
             const Tokenizer& tokenizer);

  /// The sample of a record with a prompt and one response. Adds 1 to `truncated` when
  /// something was cut off.
  Sample encode(const AlignedRecord& record, int64_t& truncated) const;

 private:
  std::vector<EncodedTurn> encode_turns(const AlignedRecord& record) const;
  void add_empty_thoughts(const std::vector<Message>& messages,
                          std::vector<EncodedTurn>& turns) const;
  bool cut(std::vector<EncodedTurn>& turns) const;

  SftOptions options_;
  const ChatTemplate& chat_;
  std::vector<int32_t> empty_thought_;
};

/// How many ids of a source and a target of these lengths are kept within `budget`; both
/// keep their first ones (LLaMA-Factory, processor_utils.py, infer_seqlen).
struct KeptLengths {
  int64_t source;
  int64_t target;
};
KeptLengths kept_lengths(int64_t source, int64_t target, int64_t budget);

}  // namespace mtrain::data
