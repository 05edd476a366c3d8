// Owns the resolved deck as text: printed by --dump-deck and, in short, by every run,
// stored in checkpoints.
#include "key_table.hpp"
#include "mtrain/config/parse.hpp"

namespace mtrain::config {

namespace {

/// The keys that `shows` picks, one a line below their sections.
template <class Shows>
std::string text_of(const ParsedDeck& parsed, const Shows& shows) {
  constexpr size_t kOriginColumn = 60;
  std::string out;
  std::string section;
  for (const Key& key : all_keys()) {
    const Origin& origin = parsed.origins.at(key.name);
    if (!shows(origin)) continue;
    if (key.section != section) {
      out += cat(section.empty() ? "[" : "\n[", key.section, "]\n");
      section = key.section;
    }
    std::string line = cat(key.name, " = ", key.text(parsed.deck));
    if (line.size() < kOriginColumn) line.resize(kOriginColumn, ' ');
    out += cat(line, " # ", to_string(origin), "\n");
  }
  return out;
}

}  // namespace

std::string dump_deck(const ParsedDeck& parsed) {
  return text_of(parsed, [](const Origin&) { return true; });
}

std::string deck_summary(const ParsedDeck& parsed) {
  return text_of(
             parsed,
             [](const Origin& origin) { return origin.kind != Origin::Kind::kDefault; }) +
         "(all other keys have their defaults: --dump-deck)\n";
}

}  // namespace mtrain::config
