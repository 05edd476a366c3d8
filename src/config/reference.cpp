// Owns the text of docs/deck.md; printed by mtrain --dump-reference.
#include "aliases.hpp"
#include "key_table.hpp"
#include "known_names.hpp"
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
as LLaMA-Factory has them. `key=value` or `section.key=value` on the command line wins
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

/// Text for a table cell.
std::string cell(const std::string& text) {
  std::string out;
  for (const char c : text) out += c == '|' ? std::string("\\|") : std::string(1, c);
  return out;
}

std::string code(const std::string& text) {
  return text.empty() ? std::string() : cat("`", cell(text), "`");
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
      const std::string note = key.note.empty() ? "" : cat(" *", cell(key.note), "*");
      out += cat("| `", key.name, "` | ", cell(key.type), " | ", code(key.default_text),
                 " | ", cell(values), " | ", cell(key.meaning), note, " |\n");
    }
  }
  return out;
}

std::string alias_table() {
  std::string out =
      "\n## Other names that are understood\n\n| name | what it means |\n|---|---|\n";
  for (const Alias& alias : all_aliases()) {
    out += cat("| `", alias.name, "` | ", cell(alias.meaning), " |\n");
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

std::string group_table(const std::string& title, NameGroup::Effect effect) {
  std::string out = cat("\n## ", title, "\n\n| names | why |\n|---|---|\n");
  for (const NameGroup& group : all_name_groups()) {
    if (group.effect != effect) continue;
    std::vector<std::string> names;
    for (const std::string& name : split(group.names, ' ')) names.push_back(code(name));
    out += cat("| ", join(names, " "), " | ", cell(group.reason), " |\n");
  }
  return out;
}

}  // namespace

std::string deck_reference_markdown() {
  return cat(kIntroduction, key_tables(), alias_table(), not_built_table(),
             group_table("Known elsewhere, refused here unless they ask for nothing "
                         "(`false`, `null`, `0`)",
                         NameGroup::Effect::kRefused),
             group_table("Known elsewhere, accepted without effect (a warning)",
                         NameGroup::Effect::kNoEffect));
}

}  // namespace mtrain::config
