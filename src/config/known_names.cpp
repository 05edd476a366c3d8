// Owns the look-up of known names that are no keys; called by parse_deck and the
// documentation.
#include "known_names.hpp"

#include <algorithm>

#include "mtrain/base/text.hpp"

namespace mtrain::config {

const std::vector<NameGroup>& all_name_groups() {
  static const std::vector<NameGroup> groups = [] {
    std::vector<NameGroup> all;
    add_reference_names(all);
    add_trainer_names(all);
    add_megatron_names(all);
    return all;
  }();
  return groups;
}

namespace {

bool has_word(const std::string& words, const std::string& word) {
  const std::vector<std::string> list = split(words, ' ');
  return !word.empty() && std::find(list.begin(), list.end(), word) != list.end();
}

}  // namespace

const NameGroup* find_name_group(const std::string& name) {
  for (const NameGroup& group : all_name_groups()) {
    if (has_word(group.names, name)) return &group;
  }
  return nullptr;
}

bool asks_for_nothing(const NameGroup& group, const std::string& text) {
  return text.empty() || has_word("false False no off 0 0.0 null ~ none None", text) ||
         has_word(group.harmless, text);
}

}  // namespace mtrain::config
