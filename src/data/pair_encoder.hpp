// From a preference pair to two samples with the same prompt.
#pragma once

#include <utility>

#include "sft_encoder.hpp"

namespace mtrain::data {

class PairEncoder {
 public:
  /// `chat` must outlive the encoder; of the options, those about prompts have no
  /// meaning.
  PairEncoder(const SftOptions& options, const ChatTemplate& chat,
              const Tokenizer& tokenizer);

  /// The chosen and the rejected sample of a record with two responses. Adds 1 to
  /// `truncated` when something was cut off.
  std::pair<Sample, Sample> encode(const AlignedRecord& record, int64_t& truncated) const;

 private:
  EncodedTurn encode_side(std::vector<Message> messages,
                          const AlignedRecord& record) const;

  SftOptions options_;
  const ChatTemplate& chat_;
  std::vector<int32_t> empty_thought_;
};

}  // namespace mtrain::data
