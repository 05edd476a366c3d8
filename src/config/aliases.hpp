// Names and values other programs use for something this program has under another key.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "entry.hpp"

namespace mtrain::config {

/// What an alias stands for: keys with values, a fault, or a warning that nothing
/// follows.
struct Translation {
  std::vector<std::pair<std::string, std::string>> keys;
  std::optional<Fault> fault;
  std::string warning;
};

struct Alias {
  std::string name;
  std::string meaning;  ///< one line for the documentation
  /// `learning_rate` is the resolved one: a rate of it becomes an absolute value.
  std::function<Translation(const RawValue&, double learning_rate)> translate;
  bool yields = false;  ///< to its key where the deck gives that, too
};

const std::vector<Alias>& all_aliases();

/// Replaces aliases, and reference values of real keys (optim = adamw_torch, warmup_steps
/// = 0.1), by entries of real keys that keep the place of the original.
std::vector<Entry> expand_aliases(std::vector<Entry> entries, Faults& faults,
                                  std::vector<std::string>& warnings);

}  // namespace mtrain::config
