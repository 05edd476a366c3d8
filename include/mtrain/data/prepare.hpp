// From datasets to token stores: readers, converters, template, tokenizer and stores
// behind one class. The work is cut into parts, so that any number of processes can share
// it, with the same result.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mtrain/data/sample.hpp"
#include "mtrain/data/tokenizer.hpp"

namespace mtrain::data {

/// How several datasets are joined (deck key mix_strategy).
enum class MixStrategy { kConcat, kInterleaveUnder, kInterleaveOver, kInterleaveOnce };

/// Values of the deck keys of the same names; the defaults live in the deck.
struct PrepareOptions {
  Stage stage;
  std::vector<std::string> dataset;  ///< names in dataset_dir/dataset_info.json, in order
  std::vector<std::string> eval_dataset;
  std::string dataset_dir;
  std::string template_name;  ///< key `template`; "" for null
  int64_t cutoff_len;
  std::optional<int64_t> max_samples;  ///< per dataset
  std::optional<bool> packing;         ///< nothing: true for pt, false otherwise
  bool neat_packing;
  bool documents_apart;  ///< pt_packing = documents
  bool train_on_prompt;
  bool mask_history;
  std::optional<bool> enable_thinking;
  bool preserve_thinking;
  std::optional<std::string> default_system;
  std::optional<std::string> tool_format;
  int64_t preprocessing_batch_size;
  MixStrategy mix_strategy;
  std::vector<double> interleave_probs;
  double val_size;  ///< below 1 a share of the records, from 1 on a count
  uint64_t seed;    ///< of samplings, mixing and val_size
  bool skip_malformed;
  std::string tokenizer_dir;     ///< holds tokenizer.json and tokenizer_config.json
  std::string output_path;       ///< the token store to write
  std::string eval_output_path;  ///< the one for evaluation, where there is such data
};

/// What was found in the records of one store. Records are counted before any is left
/// out.
struct PrepareStats {
  int64_t records = 0;
  int64_t dropped = 0;         ///< well formed, but with nothing to train on
  int64_t malformed = 0;       ///< left out by skip_malformed
  int64_t truncated = 0;       ///< longer than cutoff_len
  int64_t empty_answers = 0;   ///< records whose last answer is empty
  int64_t special_tokens = 0;  ///< records with special tokens written in their texts
  int64_t nul_characters = 0;  ///< records with NUL characters in their texts
  int64_t samples = 0;
  int64_t rows = 0;  ///< of packed samples; 0 where nothing is packed
  int64_t tokens = 0;
  int64_t trained_positions = 0;  ///< targets that are not masked

  void add(const PrepareStats& other);
};

/// One store that was written.
struct PreparedStore {
  std::string path;
  PrepareStats stats;
  std::vector<std::string> left_out;  ///< the first records dropped or malformed, and why
  double fill = 1;  ///< share of the packed rows' room that holds tokens
};

/// The preparation of a run's token stores. Any number of processes make one with equal
/// options, encode different parts, and when all are encoded one of them calls finish().
/// Parts lie in a folder beside output_path until then, so a preparation that was stopped
/// goes on where it was.
class Preparation {
 public:
  /// Finds the records of all datasets and their order. UserError names every fault of
  /// options, dataset_info.json and files. No input may change from here to finish():
  /// that is an Error.
  explicit Preparation(const PrepareOptions& options);
  ~Preparation();
  Preparation(const Preparation&) = delete;
  Preparation& operator=(const Preparation&) = delete;

  int64_t parts() const;
  /// Encodes part i unless its file is there. The tokens encoded, or nothing for a part
  /// that was there. Faults of single records are kept for finish().
  std::optional<int64_t> encode(int64_t i);
  /// Joins all parts into the stores; the samples are those LLaMA-Factory trains on.
  /// UserError lists malformed records by file and line; nothing is written then.
  std::vector<PreparedStore> finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// All of a preparation in this process.
std::vector<PreparedStore> prepare(const PrepareOptions& options);

/// Why the stores that `options` ask for have to be made; "" where they are there, whole
/// and made from exactly these inputs. UserError where something else is in their place.
std::string reason_to_prepare(const PrepareOptions& options);

/// A hash of everything the training samples depend on: options, tokenizer files, dataset
/// files. Equal to the attribute source_hash of a store that is up to date.
std::string source_hash(const PrepareOptions& options);

/// Options that make the evaluation store of `options` alone.
PrepareOptions evaluation_options(const PrepareOptions& options);

/// How a store that is there compares with one made now.
struct StoreComparison {
  bool known;  ///< whether the store says what it was made from: foreign ones do not
  std::vector<std::string> differences;  ///< "cutoff_len: 64 in the store, now 128"
  std::vector<std::string> unread;       ///< why inputs that are not here were left out
};
/// Of the store at `path` with the training samples of `options`.
StoreComparison compare_store(const std::string& path, const PrepareOptions& options);

/// A sample as a table for people: position, text piece, id, label or "masked".
std::string show(const Tokenizer& tokenizer, const Sample& sample);

}  // namespace mtrain::data
