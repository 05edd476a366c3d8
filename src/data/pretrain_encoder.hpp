// From texts to blocks of ids for stage pt.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "chat_template.hpp"
#include "mtrain/data/sample.hpp"

namespace mtrain::data {

/// What becomes of texts that are not just as long as a sample may be.
enum class TextCut {
  kTruncate,  ///< each is a sample, without what is behind cutoff_len
  kBlocks,    ///< the texts of a batch are joined and cut; the rest of a batch is lost
  kPieces,    ///< each is cut into samples of its own, the last one shorter
};

struct PretrainOptions {
  int64_t cutoff_len;
  TextCut cut;
};

/// Encodes texts, each followed by the end-of-text token.
class PretrainEncoder {
 public:
  PretrainEncoder(const PretrainOptions& options, StageTokens tokens,
                  const Tokenizer& tokenizer);

  /// Adds 1 to `truncated` when something was cut off.
  void add(const std::string& text, int64_t& truncated);
  /// Appends the samples of the batch.
  void end_batch(std::vector<Sample>& out);

 private:
  Sample sample(const int32_t* first, size_t count) const;

  PretrainOptions options_;
  StageTokens tokens_;
  const Tokenizer& tokenizer_;
  std::vector<int32_t> pending_;  ///< ids that are in no sample yet
  std::vector<Sample> samples_;   ///< of the batch
};

}  // namespace mtrain::data
