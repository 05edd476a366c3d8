// What the rules over several keys need: the deck, where values came from, where to
// complain.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "entry.hpp"

namespace mtrain::config {

class Checker {
 public:
  /// `broken`: keys whose value did not parse; rules that involve them stay quiet.
  Checker(ParsedDeck& parsed, const std::set<std::string>& broken, std::string deck_name,
          Purpose purpose, Faults& faults)
      : parsed_(parsed),
        broken_(broken),
        deck_name_(std::move(deck_name)),
        purpose_(purpose),
        faults_(faults) {}

  using Keys = std::vector<std::string>;

  Deck& deck() { return parsed_.deck; }
  const Deck& deck() const { return parsed_.deck; }
  Purpose purpose() const { return purpose_; }
  /// Whether the user set the key.
  bool given(const std::string& key) const;
  /// A fault that involves `keys`; the first is the one to blame.
  void fault(const Keys& keys, const std::string& message, const std::string& suggestion);
  /// A warning that the given key has no effect, with the reason. Silent for defaults.
  void no_effect(const std::string& key, const std::string& reason);
  void warn(const Keys& keys, const std::string& message);

 private:
  std::string places(const Keys& keys) const;

  ParsedDeck& parsed_;
  const std::set<std::string>& broken_;
  std::string deck_name_;
  Purpose purpose_;
  Faults& faults_;
};

/// Values that follow from others: resume_from_checkpoint, packing, sequence_parallel,
/// and what compat means.
void derive_values(Checker& checker);

// The rules over several keys, by section.
void check_parallel(Checker& checker);
void check_data(Checker& checker);
void check_train(Checker& checker);
void check_optimizer(Checker& checker);
void check_output(Checker& checker);
/// Values of capabilities that are not built yet.
void check_built(Checker& checker);

}  // namespace mtrain::config
