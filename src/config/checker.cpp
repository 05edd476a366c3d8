// Owns how rules complain, derived values and the check of what is built; called by
// parse_deck.
#include "checker.hpp"

#include "key_table.hpp"
#include "not_built.hpp"

namespace mtrain::config {

bool Checker::given(const std::string& key) const {
  return parsed_.origins.at(key).kind != Origin::Kind::kDefault;
}

void Checker::fault(const Keys& keys, const std::string& message,
                    const std::string& suggestion) {
  for (const std::string& key : keys) {
    if (broken_.count(key) != 0) return;
  }
  faults_.add(places(keys), message, suggestion);
}

void Checker::no_effect(const std::string& key, const std::string& reason) {
  if (!given(key) || broken_.count(key) != 0) return;
  warn({key},
       cat(key, " = ", shown(value_text(deck(), key)), " has no effect: ", reason));
}

void Checker::warn(const Keys& keys, const std::string& message) {
  parsed_.warnings.push_back(cat(places(keys), ": ", message));
}

std::string Checker::places(const Keys& keys) const {
  std::vector<std::string> all;
  for (const std::string& key : keys) {
    const std::string place = parsed_.origins.at(key).place;
    const bool known = std::find(all.begin(), all.end(), place) != all.end();
    if (!place.empty() && !known) all.push_back(place);
  }
  return all.empty() ? deck_name_ : join(all, ", ");
}

namespace {

void derive_sequence_parallel(Checker& checker) {
  Parallel& parallel = checker.deck().parallel;
  if (parallel.sequence_parallel && parallel.tensor_model_parallel_size == 1) {
    checker.no_effect("sequence_parallel",
                      "there is nothing to split with tensor_model_parallel_size = 1");
    parallel.sequence_parallel = false;
  }
  if (!parallel.sequence_parallel && parallel.tensor_model_parallel_size > 1 &&
      parallel.expert_model_parallel_size > 1) {
    checker.warn(
        {"expert_model_parallel_size", "tensor_model_parallel_size"},
        "sequence_parallel is switched on: experts with tensor parallelism need it");
    parallel.sequence_parallel = true;
  }
}

/// The reference's Megatron path never shuffles and averages micro-batches' means.
void derive_compat(Checker& checker) {
  Deck& deck = checker.deck();
  if (deck.train.compat != Compat::kMca) return;
  const auto refuse = [&](const std::string& key, bool differs,
                          const std::string& value) {
    if (!differs || !checker.given(key)) return;
    checker.fault({key, "compat"}, cat("compat = mca means ", key, " = ", value),
                  cat("write ", key, " = ", value, " or compat = none"));
  };
  refuse("shuffle", deck.data.shuffle, "false");
  refuse("loss_average", deck.train.loss_average != LossAverage::kSampleMean,
         to_string(LossAverage::kSampleMean));
  deck.data.shuffle = false;
  deck.train.loss_average = LossAverage::kSampleMean;
}

std::string suggestion_for(const NotBuilt& row, const Key& key) {
  const std::string replacement =
      row.values.starts_with("!= ") ? row.values.substr(3) : key.default_text;
  if (replacement.empty() || replacement == "null") return cat("remove ", row.key);
  return cat("write ", row.key, " = ", replacement);
}

}  // namespace

void derive_values(Checker& checker) {
  Deck& deck = checker.deck();
  // As the reference: a default resumes what is in output_dir unless it is to be
  // overwritten.
  if (!checker.given("resume_from_checkpoint") && deck.checkpoint.overwrite_output_dir) {
    deck.model.resume_from_checkpoint = "none";
  }
  // As the trainer of transformers, which evaluates where a strategy is given.
  if (!checker.given("do_eval") && checker.given("eval_strategy"))
    deck.train.do_eval = deck.log.eval_strategy != Strategy::kNo;
  if (deck.data.neat_packing) {
    if (deck.data.packing == false) {
      checker.no_effect("packing", "neat_packing = true switches packing on");
    }
    deck.data.packing = true;
  }
  derive_sequence_parallel(checker);
  derive_compat(checker);
}

void check_built(Checker& checker) {
  for (const NotBuilt& row : not_built()) {
    const Key* key = find_key(row.key);
    const std::string text = key->text(checker.deck());
    if (!checker.given(row.key) || !needs_missing(row, text, key->default_text)) continue;
    // mprep only uses the keys of this section, and can prepare for any stage.
    if (checker.purpose() == Purpose::kPrepare && key->section != "data") continue;
    checker.fault({row.key},
                  cat(row.key, " = ", shown(text), " needs ", row.capability,
                      ", which is not built yet"),
                  suggestion_for(row, *key));
  }
}

}  // namespace mtrain::config
