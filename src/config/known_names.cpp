// Owns the look-up of known names that are no keys; called by parse_deck and the
// documentation.
#include "known_names.hpp"

#include <algorithm>
#include <unordered_map>

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
  static const std::unordered_map<std::string, const NameGroup*> by_name = [] {
    std::unordered_map<std::string, const NameGroup*> groups;
    for (const NameGroup& group : all_name_groups())
      for (const std::string& word : split(group.names, ' '))
        groups.emplace(word, &group);
    return groups;
  }();
  const auto found = by_name.find(name);
  return found == by_name.end() ? nullptr : found->second;
}

std::string reference_of(const std::string& name) {
  static const std::unordered_map<std::string, std::string> by_name = [] {
    std::unordered_map<std::string, std::string> versions;
    for (const ReferenceNames& reference : all_reference_names())
      for (const std::string& word : split(reference.names, ' '))
        versions.emplace(word, reference.version);
    return versions;
  }();
  const auto found = by_name.find(name);
  return found == by_name.end() ? std::string() : found->second;
}

std::string known_versions() {
  std::vector<std::string> versions;
  for (const ReferenceNames& reference : all_reference_names())
    versions.push_back(reference.version);
  return join(versions, ", ");
}

bool asks_for_nothing(const NameGroup& group, const std::string& text) {
  return text.empty() || has_word("false False no off 0 0.0 null ~ none None", text) ||
         has_word(group.harmless, text);
}

}  // namespace mtrain::config
