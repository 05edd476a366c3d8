// The token store: one HDF5 file of tokenized samples, from mprep for the trainer.
//
// The root group has the attributes format = "mtrain-tokens", version = 1 and stage (pt,
// sft or dpo), and these one-dimensional datasets:
// - input_ids, labels: int32 [N];
// - sample_offsets: int64 [S + 1], in tokens; sample i begins at entry i, ends at i + 1;
// - row_offsets, where samples are packed: int64 [R + 1], in samples, likewise.
// May be absent: attribute source_hash; settings, int8: what source_hash is made of, as
// JSON; attribute crc32c_bytes and crc32c, int64: the checksum of each piece of so many
// bytes of input_ids, then of the others in the order above, then of settings.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "mtrain/data/sample.hpp"

namespace mtrain::data {

/// Attributes of a store. A foreign store may have neither source_hash nor settings: "".
struct StoreAttributes {
  Stage stage;
  std::string source_hash;
  std::string settings = {};  ///< what the hash is made of, as JSON
};

/// What one pass over all tokens and labels finds.
struct StoreScan {
  int32_t max_token_id;       ///< of input_ids and labels; -1 for a store without tokens
  int64_t tokens;             ///< tokens stored
  int64_t trained_positions;  ///< targets that are not kIgnoreLabel
  int64_t trainable_samples;  ///< samples with at least one target
};

/// Reads samples one at a time; memory is that of the offsets (8 bytes a sample) and of
/// the checksums. Whatever is read is compared with its checksum, and a file that became
/// shorter or longer is refused; without checksums one that was written to is refused as
/// well. Samples may be read by several threads; the HDF5 library is not used.
class TokenStoreReader {
 public:
  /// Opens `path` and checks all of its structure: attributes, types, shapes, offsets,
  /// storage (no filter, no external or virtual data, hard links only). UserError names
  /// file and fault.
  explicit TokenStoreReader(const std::string& path);
  ~TokenStoreReader();
  TokenStoreReader(TokenStoreReader&&) noexcept;
  TokenStoreReader& operator=(TokenStoreReader&&) noexcept;

  const StoreAttributes& attributes() const;
  const std::string& path() const;
  /// Whether the file has checksums; foreign ones may have none.
  bool has_checksums() const;
  /// A hash of stage, tokens, labels, samples and rows: equal for stores that train the
  /// same, whatever made them. Reads all of a store without checksums.
  std::string content_id() const;
  /// From now on ids and labels must be below `vocab_size`.
  void limit_ids(int64_t vocab_size);
  int64_t num_samples() const;
  int64_t num_tokens() const;
  /// Tokens of sample i, 0 <= i < num_samples().
  int64_t sample_length(int64_t i) const;
  /// Longest sample of the store in tokens; 0 for an empty store.
  int64_t max_sample_length() const;
  /// Sample i. UserError when the file cannot be read (any more), was changed, differs
  /// from its checksums or holds an id that is negative or beyond the limit.
  Sample read(int64_t i) const;
  /// Targets of sample i that are trained on (reads its labels only).
  int64_t trained_positions(int64_t i) const;

  /// Rows of packed samples; where nothing was packed a row is a sample, or the pair of a
  /// dpo store.
  bool packed() const;
  int64_t num_rows() const;
  /// Samples [first, last) that share row r.
  std::pair<int64_t, int64_t> row_samples(int64_t r) const;

  /// Reads everything once. UserError on a negative id or a label other than kIgnoreLabel
  /// below 0.
  StoreScan scan() const;
  int32_t max_token_id() const { return scan().max_token_id; }

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Appends samples to a store under a temporary name beside `path`; finish() makes it
/// durable and gives it its name. A writer destroyed before finish() leaves nothing
/// behind.
class TokenStoreWriter {
 public:
  TokenStoreWriter(const std::string& path, const StoreAttributes& attributes);
  ~TokenStoreWriter();
  TokenStoreWriter(const TokenStoreWriter&) = delete;
  TokenStoreWriter& operator=(const TokenStoreWriter&) = delete;

  /// Adds one sample; ids must not be negative.
  void append(const Sample& sample);
  /// Ends the current row of packed samples. Either every sample is in a row, or none.
  void end_row();
  /// Writes what is buffered, closes, fsyncs, renames. Error with path and errno on
  /// failure.
  void finish();

  int64_t num_samples() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace mtrain::data
