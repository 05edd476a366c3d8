// From aligned records to the samples of a stage, batch by batch.
#pragma once

#include <memory>
#include <vector>

#include "aligned_record.hpp"
#include "mtrain/data/prepare.hpp"

namespace mtrain::data {

/// Samples in the order of the store; where they are packed, row_ends[r] is the number of
/// samples in rows 0..r.
struct EncodedSamples {
  std::vector<Sample> samples;
  std::vector<int64_t> row_ends;
};

/// Encodes records as the options' stage wants it. Batches of preprocessing_batch_size
/// records are what packing and the joining of texts see at a time.
class BatchEncoder {
 public:
  virtual ~BatchEncoder() = default;

  /// Encodes one record into the current batch, and counts what it finds. Throws
  /// RecordFault for a malformed record, of which then nothing is left.
  virtual void add(const AlignedRecord& record, PrepareStats& stats) = 0;
  /// Appends the samples of the batch to `out`.
  virtual void end_batch(EncodedSamples& out) = 0;
};

/// UserError for options that do not go together. Keeps a reference to `tokenizer`.
std::unique_ptr<BatchEncoder> make_batch_encoder(const PrepareOptions& options,
                                                 const Tokenizer& tokenizer);

/// Tokens a sample or a row holds at most: cutoff_len, less one where packing is asked
/// for (not where it is the default).
int64_t longest_sample(const PrepareOptions& options);
/// Whether samples share rows.
bool packs_rows(const PrepareOptions& options);
/// Whether a sample depends on the other records of its batch, or its row does.
bool encodes_together(const PrepareOptions& options);

}  // namespace mtrain::data
