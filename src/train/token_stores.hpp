// The token stores of a run: found, or prepared from raw data by all ranks.
#pragma once

#include <optional>
#include <string>

#include "mtrain/comm/session.hpp"
#include "mtrain/config/deck.hpp"
#include "mtrain/data/prepare.hpp"

namespace mtrain::train {

struct StorePaths {
  std::string train;
  std::optional<std::string> eval;
};

/// "data.h5" -> "data.eval.h5".
std::string eval_store_path(const std::string& train_path);

data::Stage data_stage(config::Stage stage);

/// The deck's [data] keys as options of data::Preparation into `output_path`, with the
/// evaluation store beside it.
data::PrepareOptions prepare_options(const config::Deck& deck,
                                     const std::string& output_path);

/// Makes tokenized_path, and the evaluation store beside it, unless both are there and up
/// to date. Collective: the ranks share the work.
void prepare_stores(const config::Deck& deck, const comm::Session& session);

/// Whether there is a store at tokenized_path. Throws UserError when there is neither
/// that nor a dataset to make it from.
bool store_exists(const config::Data& data);

/// Throws UserError where tokenized_path, or the evaluation store beside it, was made
/// from something else than the deck's datasets and keys; a line each says what differs.
/// A foreign store that does not tell is taken as it is, with a warning. Reads the
/// datasets.
void compare_given_stores(const config::Deck& deck);

/// The stores the deck asks for. A store at tokenized_path is compared with the deck and
/// taken; otherwise the ranks prepare it from `dataset` (into tokenized_path, or under
/// output_dir, where one that is out of date is made anew). Collective.
StorePaths token_stores(const config::Deck& deck, const comm::Session& session);

/// Throws UserError when nothing in the store can be trained on: no sample, all labels
/// masked, ids beyond the vocabulary, or another stage.
void check_store(const std::string& path, config::Stage stage, int64_t vocab_size);

}  // namespace mtrain::train
