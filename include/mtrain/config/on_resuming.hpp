// What it means that a run goes on with another value of a key than it was begun with.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "mtrain/config/deck.hpp"

namespace mtrain::config {

enum class OnResuming {
  kSilent,    ///< says from where or until when this process runs, not how
  kHarmless,  ///< changes layout, speed, memory, files or what is told
  kLength,    ///< how long the run goes on
  kBatch,     ///< samples of a step: changes training where their product does
  kPath,      ///< a folder: it has moved where its last name stays, else kTraining
  kTraining,  ///< changes what is trained
};

/// Effect of a key, and where it changes training what it changes.
struct ResumeRule {
  OnResuming effect;
  std::string meaning;
};

/// Every key has one.
const ResumeRule& resume_rule(const std::string& key);

/// A key with its values in two decks, as the dump writes them.
struct KeyChange {
  std::string key, before, after;
  ResumeRule rule;
};
/// "seed 42 -> 43".
std::string to_string(const KeyChange& change);

/// The deck that a checkpoint's deck.ini holds, as far as its keys are known here; others
/// keep their defaults. Nothing where no key is in it.
std::optional<Deck> stored_deck(const std::string& text);

/// The keys whose values differ, in the order of the dump, each with its effect in these
/// two decks: never kPath, and kHarmless where a key of a stage concerns neither.
std::vector<KeyChange> changes(const Deck& before, const Deck& after);

}  // namespace mtrain::config
