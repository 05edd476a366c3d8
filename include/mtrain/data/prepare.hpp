// From datasets to a token store: readers, converters, template, tokenizer, store in one
// call.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "mtrain/data/sample.hpp"
#include "mtrain/data/tokenizer.hpp"

namespace mtrain::data {

/// Values of the deck keys of the same names; the defaults live in the deck.
struct PrepareOptions {
  Stage stage;
  std::vector<std::string> dataset;  ///< names in dataset_dir/dataset_info.json, in order
  std::string dataset_dir;
  std::string template_name;  ///< key `template`; "" for null
  int64_t cutoff_len;
  std::optional<int64_t> max_samples;  ///< per dataset
  std::optional<bool> packing;         ///< nothing: true for pt, false otherwise
  bool neat_packing;
  bool train_on_prompt;
  bool mask_history;
  std::optional<bool> enable_thinking;
  bool preserve_thinking;
  std::optional<std::string> default_system;
  std::optional<std::string> tool_format;
  int64_t preprocessing_batch_size;
  std::string tokenizer_dir;  ///< holds tokenizer.json and tokenizer_config.json
  std::string output_path;    ///< the token store to write
};

struct PrepareStats {
  int64_t records;  ///< records read from the datasets
  int64_t dropped;  ///< records that give no sample (no single response)
  int64_t samples;
  int64_t tokens;
  int64_t trained_positions;  ///< targets that are not masked
  double seconds;
};

/// Tokenizes the datasets in order into options.output_path; the samples are those
/// LLaMA-Factory trains on. UserError names every fault by file and record; nothing is
/// written then.
PrepareStats prepare(const PrepareOptions& options);

/// A hash of everything the samples depend on: options, tokenizer files, dataset files.
/// Equal to the attribute source_hash of a store that is up to date.
std::string source_hash(const PrepareOptions& options);

/// A sample as a table for people: position, text piece, id, label or "masked".
std::string show(const Tokenizer& tokenizer, const Sample& sample);

}  // namespace mtrain::data
