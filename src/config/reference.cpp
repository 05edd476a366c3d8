// Owns the text of docs/deck.md; printed by mtrain --dump-reference.
#include "key_table.hpp"
#include "markdown.hpp"
#include "not_built.hpp"

namespace mtrain::config {

namespace {

const char* const kIntroduction = R"(# The deck

<!-- Written by `mtrain --dump-reference > docs/deck.md`: edit src/config/ instead. -->

A deck says everything about a run. It is an INI file:

```
[train]                      # a section
stage = sft                  # key = value; a comment reaches from # to the line's end
```

or a flat YAML file (`.yaml`, `.yml`, or by content) with the same keys and no sections,
as LLaMA-Factory has them; [coming-from.md](coming-from.md) says of each of its names what becomes of it.
`key=value` or `section.key=value` on the command line wins
over the deck.

* Numbers are strict: `3x` and, for whole numbers, `3.5` are refused. Booleans: `true`,
  `false`, `yes`, `no`, `on`, `off`, `1`, `0`. Lists: items separated by commas, or a YAML
  or JSON list.
* `null` (or `~`) leaves a key at its default. A text that INI would spoil (with `#`, a
  line break, outer blanks) is written as a JSON string, `#` as `\u0023`:
  `default_system = "Answer in one line.\n"`.
* No key is silently ignored: an unknown one is an error with the nearest known one, one
  without effect is a warning, and all faults of a deck are reported at once.
* `mtrain DECK --dump-deck` prints every key with its value and where it came from; that
  text is a deck again.
)";

std::string code(const std::string& text) {
  return text.empty() ? std::string() : cat("`", table_cell(text), "`");
}

std::string key_tables() {
  std::string out;
  for (const SectionInfo& section : all_sections()) {
    out +=
        cat("\n## [", section.name, "]\n", section.title,
            "\n\n| key | type | default | values | meaning |\n|---|---|---|---|---|\n");
    for (const Key& key : all_keys()) {
      if (key.section != section.name) continue;
      const std::string values = key.limits;
      const std::string note =
          key.note.empty() ? "" : cat(" *", table_cell(key.note), "*");
      out += cat("| `", key.name, "` | ", table_cell(key.type), " | ",
                 code(key.default_text), " | ", table_cell(values), " | ",
                 table_cell(key.meaning), note, " |\n");
    }
  }
  return out;
}

std::string not_built_table() {
  std::string out =
      "\n## Not built yet\n\nRefused by name until they are "
      "built.\n\n| key | values | what is missing |\n|---|---|---|\n";
  for (const NotBuilt& row : not_built()) {
    const std::string values = row.values == "*" ? "any" : code(row.values);
    out += cat("| `", row.key, "` | ", values, " | ", row.capability, " |\n");
  }
  return out;
}

}  // namespace

std::string deck_reference_markdown() {
  return cat(kIntroduction, key_tables(), not_built_table());
}

}  // namespace mtrain::config
