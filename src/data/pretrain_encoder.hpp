// From texts to blocks of ids for stage pt.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "aligned_record.hpp"
#include "chat_template.hpp"
#include "mtrain/data/sample.hpp"

namespace mtrain::data {

/// Values of the deck keys of the same names.
struct PretrainOptions {
  int64_t cutoff_len;
  bool packing;
  int64_t preprocessing_batch_size;
};

/// Encodes the first message of each record, followed by the end-of-text token.
class PretrainEncoder {
 public:
  PretrainEncoder(const PretrainOptions& options, const StageTokens& tokens,
                  const Tokenizer& tokenizer, std::function<void(Sample&&)> take);

  void add(const AlignedRecord& record);
  /// After the last record.
  void finish();

 private:
  void emit(std::vector<int32_t> ids);
  void end_batch();

  PretrainOptions options_;
  StageTokens tokens_;
  const Tokenizer& tokenizer_;
  std::function<void(Sample&&)> take_;
  std::vector<int32_t> pending_;  ///< ids of the records of this batch
  int64_t in_batch_ = 0;
};

}  // namespace mtrain::data
