// Owns the resolved deck as text: printed by --dump-deck and --check, stored in
// checkpoints.
#include "key_table.hpp"
#include "mtrain/config/parse.hpp"

namespace mtrain::config {

std::string dump_deck(const ParsedDeck& parsed) {
  constexpr size_t kOriginColumn = 60;
  std::string out;
  std::string section;
  for (const Key& key : all_keys()) {
    if (key.section != section) {
      out += cat(section.empty() ? "[" : "\n[", key.section, "]\n");
      section = key.section;
    }
    std::string line = cat(key.name, " = ", key.text(parsed.deck));
    if (line.size() < kOriginColumn) line.resize(kOriginColumn, ' ');
    out += cat(line, " # ", to_string(parsed.origins.at(key.name)), "\n");
  }
  return out;
}

}  // namespace mtrain::config
