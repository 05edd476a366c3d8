// The file of `ref_log_probs`: what the reference model thinks of every answer.
#pragma once

#include <string>
#include <vector>

#include "model_files.hpp"
#include "mtrain/comm/session.hpp"
#include "mtrain/config/deck.hpp"
#include "mtrain/data/token_store.hpp"

namespace mtrain::train {

/// Names a token store and a reference model, so that values made of other ones are not
/// taken: the store's source hash (all of its tokens where it has none), the model's
/// config.json, and the first and last row of each of its tensors.
std::string reference_key(const config::Deck& deck, const ModelDescription& description,
                          const data::TokenStoreReader& store);

/// UserError where the deck names such a file and it is not there.
void require_reference_file(const config::Dpo& dpo);

/// Log-probabilities of the samples of `store`, from the file that the deck names.
/// UserError where there is none, or none of this model and store.
std::vector<double> read_reference(const config::Deck& deck,
                                   const ModelDescription& description,
                                   const data::TokenStoreReader& store);

/// Runs the reference model, in the deck's layout, over the token store and the one for
/// evaluation beside it, and writes the file, unless it is there. Collective.
void write_reference(const config::Deck& deck, const comm::Session& session);

/// Fills weights with those of the reference: `ref_model`, or the model before training.
void load_reference(const config::Deck& deck, const ModelDescription& description,
                    parallel::ParamBuffer& buffer);

/// Fills weights with those a run starts from: read, or random.
void load_initial(const config::Model& model, const ModelDescription& description,
                  parallel::ParamBuffer& buffer);

}  // namespace mtrain::train
