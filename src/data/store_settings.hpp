// What the samples of a store depend on, key by key; a store keeps it, so that it can be
// told later what differs.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "mtrain/data/prepare.hpp"

namespace mtrain::data {

/// Keys in order, with their values as people read them.
using StoreSettings = std::vector<std::pair<std::string, std::string>>;

/// All files that the samples of `options` are made from: the datasets', the tokenizer's.
std::vector<std::string> input_files(const PrepareOptions& options);

/// What the deck's keys say about the samples of the training store, and of those
/// val_size takes from it.
StoreSettings deck_settings(const PrepareOptions& options);
/// What the tokenizer's files hold, as a hash. UserError when they can't be read.
StoreSettings tokenizer_settings(const PrepareOptions& options);
/// Descriptions and contents of the datasets, as hashes. Reads them all. UserError when
/// they can't be read.
StoreSettings dataset_settings(const PrepareOptions& options);
/// All three.
StoreSettings store_settings(const PrepareOptions& options);

/// The value of a store's attribute source_hash.
std::string hash_of(const StoreSettings& settings);
/// The settings as a store keeps them, a JSON object.
std::string to_text(const StoreSettings& settings);
/// What differs between those a store keeps and `settings`, one entry a key:
/// "cutoff_len: 64 in the store, now 128". Keys that only the store has are not compared.
std::vector<std::string> differences(const std::string& stored,
                                     const StoreSettings& settings);

}  // namespace mtrain::data
