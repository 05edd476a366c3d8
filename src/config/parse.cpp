// Owns the way from text to a checked deck: read, translate, assign, derive, check.
// Called by the programs; the steps live in the files next to this one.
#include "mtrain/config/parse.hpp"

#include <set>

#include "aliases.hpp"
#include "checker.hpp"
#include "key_table.hpp"
#include "known_names.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/base/file.hpp"

namespace mtrain::config {

namespace {

constexpr int64_t kLongestDeck = 16 << 20;

/// Whether the text reads as "key: value" rather than "key = value" or "[section]".
bool looks_like_yaml(const std::string& text) {
  for (const std::string& line : split(text, '\n')) {
    const std::string_view content = trim(line);
    if (content.empty() || content.front() == '#') continue;
    if (content.front() == '[') return false;
    const size_t colon = content.find(':'), equals = content.find('=');
    return content == "---" || content.front() == '{' || colon < equals;
  }
  return false;
}

bool is_yaml(const DeckText& source) {
  const std::string& name = source.name;
  for (const char* ending : {".yaml", ".yml", ".json"}) {
    if (name.ends_with(ending)) return true;
  }
  return !name.ends_with(".ini") && looks_like_yaml(source.text);
}

/// Removes a byte order mark; refuses bytes no deck can hold.
DeckText cleaned(const DeckText& source) {
  DeckText out = source;
  if (out.text.starts_with("\xef\xbb\xbf")) out.text.erase(0, 3);
  if (out.text.find('\0') != std::string::npos) {
    throw UserError(cat(source.name, " is not a text file: it contains zero bytes"),
                    "give an INI or YAML deck");
  }
  return out;
}

/// Assigns entries to keys, one fault or warning for each that is none.
class Assigner {
 public:
  Assigner(ParsedDeck& parsed, Faults& faults) : parsed_(parsed), faults_(faults) {}

  void run(const std::vector<Entry>& entries) {
    for (const Entry& entry : entries) {
      if (entry.origin.kind == Origin::Kind::kCommandLine) overridden_.insert(entry.name);
    }
    for (const Entry& entry : entries) assign(entry);
  }
  const std::set<std::string>& broken() const { return broken_; }

 private:
  void assign(const Entry& entry) {
    if (is_repeated(entry)) return;
    if (const Key* key = find_key(entry.name)) return assign_key(entry, *key);
    const bool in_deck = entry.origin.kind == Origin::Kind::kDeck;
    if (in_deck && overridden_.count(entry.name) != 0) return;
    if (const NameGroup* group = find_name_group(entry.name)) {
      return assign_known(entry, *group);
    }
    if (const std::string version = reference_of(entry.name); !version.empty()) {
      return assign_known(entry, {NameGroup::Effect::kRefused, entry.name, "",
                                  cat("remove it; it is known from ", version)});
    }
    report_unknown(entry);
  }

  bool is_repeated(const Entry& entry) {
    auto& first = entry.origin.kind == Origin::Kind::kDeck ? in_deck_ : in_command_line_;
    const auto [known, is_new] = first.emplace(entry.name, entry.origin.place);
    if (is_new) return false;
    broken_.insert(entry.name);
    faults_.add(
        entry.origin.place,
        cat("key ", shown(entry.name), " is given twice, first at ", known->second),
        "remove one of them");
    return true;
  }

  void assign_key(const Entry& entry, const Key& key) {
    if (!entry.section.empty() && entry.section != key.section) {
      broken_.insert(key.name);
      faults_.add(entry.origin.place,
                  cat("key ", key.name, " is in [", shown(entry.section), "]"),
                  cat("move it to [", key.section, "]"));
      return;
    }
    if (const auto fault = key.assign(entry.value, parsed_.deck)) {
      broken_.insert(key.name);
      faults_.add(entry.origin.place,
                  cat(key.name, " = ", shown(entry.value.text), " ", fault->rule),
                  fault->suggestion);
      return;
    }
    const bool is_default = entry.value.null && !key.takes_null();
    parsed_.origins[key.name] = is_default ? Origin{} : entry.origin;
  }

  void assign_known(const Entry& entry, const NameGroup& group) {
    const std::string line = cat(entry.name, " = ", shown(entry.value.text));
    if (group.effect == NameGroup::Effect::kNoEffect ||
        asks_for_nothing(group, entry.value.text)) {
      parsed_.warnings.push_back(
          cat(entry.origin.place, ": ", line, " has no effect: ", group.reason));
    } else {
      faults_.add(entry.origin.place, cat(line, " is not supported here"), group.reason);
    }
  }

  void report_unknown(const Entry& entry) {
    if (faults_.full()) return faults_.add(entry.origin.place, entry.name, "");
    constexpr size_t kLongestName = 64;  // longer ones are no misspellings
    std::vector<std::string> names;
    for (const Key& key : all_keys()) names.push_back(key.name);
    for (const Alias& alias : all_aliases()) names.push_back(alias.name);
    const std::string near =
        entry.name.size() > kLongestName ? "" : nearest(entry.name, names);
    const Key* key = find_key(near);
    std::string hint =
        cat("--help lists all keys; known besides are the names of ", known_versions());
    if (key != nullptr) hint = cat("did you mean ", near, " in [", key->section, "]?");
    if (key == nullptr && !near.empty()) hint = cat("did you mean ", near, "?");
    faults_.add(entry.origin.place, cat("key ", shown(entry.name), " is unknown"), hint);
  }

  ParsedDeck& parsed_;
  Faults& faults_;
  std::set<std::string> broken_, overridden_;
  std::map<std::string, std::string> in_deck_, in_command_line_;
};

}  // namespace

std::string to_string(const Origin& origin) {
  switch (origin.kind) {
    case Origin::Kind::kDefault:
      return "default";
    case Origin::Kind::kCommandLine:
      return "command line";
    case Origin::Kind::kModelConfig:
      return cat("model config (", origin.place, ")");
    case Origin::Kind::kDeck:
      return cat("deck (", origin.place, ")");
  }
  return {};
}

Deck default_deck() {
  Deck deck{};
  for (const Key& key : all_keys()) {
    std::optional<Fault> fault;
    const auto broken = key.assign(raw_from_text(key.default_text, fault), deck);
    MT_CHECK(!fault && !broken, "default of ", key.name);
  }
  return deck;
}

DeckText read_deck_file(const std::string& path) {
  try {
    return {path, read_text(File::open_input(path), kLongestDeck)};
  } catch (const UserError& fault) {
    throw UserError(fault.what(), "give the path of an INI or YAML deck");
  }
}

ParsedDeck parse_deck(const DeckText& source, const std::vector<std::string>& overrides,
                      Purpose purpose) {
  const DeckText text = cleaned(source);
  Faults faults;
  std::vector<Entry> entries =
      is_yaml(text) ? read_yaml(text, faults) : read_ini(text, faults);
  for (Entry& entry : read_overrides(overrides, faults)) {
    entries.push_back(std::move(entry));
  }

  ParsedDeck parsed{default_deck(), {}, {}};
  for (const Key& key : all_keys()) parsed.origins[key.name] = Origin{};
  entries = expand_aliases(std::move(entries), faults, parsed.warnings);
  Assigner assigner(parsed, faults);
  assigner.run(entries);

  Checker checker(parsed, assigner.broken(), text.name, purpose, faults);
  derive_values(checker);
  check_parallel(checker);
  check_data(checker);
  check_train(checker);
  check_optimizer(checker);
  check_output(checker);
  check_built(checker);
  faults.throw_if_any(cat("deck ", text.name));
  return parsed;
}

void set_value(ParsedDeck& parsed, const std::string& key, const std::string& text,
               const Origin& origin) {
  const Key* known = find_key(key);
  MT_CHECK(known != nullptr, "no key ", key);
  std::optional<Fault> fault;
  const RawValue raw = raw_from_text(text, fault);
  if (!fault) fault = known->assign(raw, parsed.deck);
  if (fault) {
    throw UserError(cat(origin.place, ": ", key, " = ", shown(text), " ", fault->rule),
                    fault->suggestion);
  }
  parsed.origins[key] = origin;
}

std::string value_text(const Deck& deck, const std::string& key) {
  const Key* known = find_key(key);
  MT_CHECK(known != nullptr, "no key ", key);
  return known->text(deck);
}

}  // namespace mtrain::config
