// From texts to blocks of ids for stage pt.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "chat_template.hpp"
#include "mtrain/data/sample.hpp"

namespace mtrain::data {

/// Values of the deck keys of the same names.
struct PretrainOptions {
  int64_t cutoff_len;
  bool packing;
};

/// Encodes texts, each followed by the end-of-text token.
class PretrainEncoder {
 public:
  PretrainEncoder(const PretrainOptions& options, StageTokens tokens,
                  const Tokenizer& tokenizer);

  /// Adds 1 to `truncated` when something was cut off.
  void add(const std::string& text, int64_t& truncated);
  /// Appends the samples of the batch; with packing, what does not fill a block is lost.
  void end_batch(std::vector<Sample>& out);

 private:
  Sample sample(const int32_t* first, size_t count) const;

  PretrainOptions options_;
  StageTokens tokens_;
  const Tokenizer& tokenizer_;
  std::vector<int32_t> pending_;  ///< ids of the texts of this batch
  std::vector<Sample> samples_;   ///< without packing: the batch
};

}  // namespace mtrain::data
