// From the text of a deck and the command line to a checked Deck, and back to text.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "mtrain/config/deck.hpp"

namespace mtrain::config {

/// Which program reads the deck: what must be given differs.
enum class Purpose {
  kTrain,    ///< mtrain: needs a model, data and output_dir
  kPrepare,  ///< mprep: needs a tokenizer, dataset and tokenized_path
};

struct Origin {
  enum class Kind { kDefault, kModelConfig, kDeck, kCommandLine };
  Kind kind = Kind::kDefault;
  std::string
      place;  ///< "run.ini:12", "command line", "config.json"; empty for a default
};
/// "default", "model config (config.json)", "deck (run.ini:12)", "command line".
std::string to_string(const Origin& origin);

/// A deck with where each value came from. `origins` has every key.
struct ParsedDeck {
  Deck deck;
  std::map<std::string, Origin> origins;
  std::vector<std::string> warnings;  ///< to be logged by rank 0, one line each
};

/// Name and bytes of a deck; read once and broadcast, so that every rank parses the same.
struct DeckText {
  std::string name;
  std::string text;
};

/// Every key at its default. Not a valid deck yet: model, data and output_dir are
/// missing.
Deck default_deck();

/// Reads a deck file. Throws UserError when it is missing, not a file, larger than 16
/// MiB.
DeckText read_deck_file(const std::string& path);

/// Parses an INI deck or a flat YAML one (by the ending .yaml/.yml, otherwise by
/// content), applies `overrides` ("key=value" or "section.key=value", which win), checks
/// every key and every rule that needs no model file. Throws one UserError that lists all
/// faults.
ParsedDeck parse_deck(const DeckText& source, const std::vector<std::string>& overrides,
                      Purpose purpose);

/// Checks what depends on the number of ranks: world = tp * cp * pp * dp, experts, global
/// batch. Throws one UserError with the nearest valid values.
void validate_layout(const Deck& deck, int world_size);

/// The smallest number of ranks the layout fits; others are multiples of it.
int64_t rank_multiple(const Deck& deck);

/// Data-parallel size of a valid layout.
int data_parallel_size(const Deck& deck, int world_size);

/// Sets one key from text, as later stages do with values read from the model's
/// config.json. Throws UserError when the value is out of the key's range.
void set_value(ParsedDeck& parsed, const std::string& key, const std::string& text,
               const Origin& origin);

/// Replaces a leading "~" or "~USER" of every key that names a file or folder, as
/// Python's os.path.expanduser: `home` for "~"; an unknown user stays as it is.
void expand_home(ParsedDeck& parsed, const std::string& home);

/// The text form of one value, as the dump writes it ("null" for an empty optional).
std::string value_text(const Deck& deck, const std::string& key);

/// Every key with its value and origin as an INI deck that parses back to the same Deck.
std::string dump_deck(const ParsedDeck& parsed);

/// The same of the keys alone that do not have their defaults.
std::string deck_summary(const ParsedDeck& parsed);

/// docs/deck.md: every key, and every known name that is refused or has no effect.
std::string deck_reference_markdown();

/// The text of docs/coming-from.md: every name of LLaMA-Factory, its trainer and
/// Megatron-LM that is known, and what becomes of it.
std::string coming_from_markdown();

}  // namespace mtrain::config
