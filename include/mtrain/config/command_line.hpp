// The command line shared by the programs that read a deck.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "mtrain/config/parse.hpp"

namespace mtrain::config {

struct CommandLine {
  bool help = false;
  std::string topic;   ///< with help: a key or section to tell of; empty for all
  bool quiet = false;  ///< print warnings and errors only
  bool version = false;
  bool check = false;
  bool check_all = false;  ///< --check=full: every record
  bool allow_oom = false;  ///< only with check
  bool dump_deck = false;
  bool ranks = false;
  bool dump_reference = false;     ///< print docs/deck.md (mtrain only, not in --help)
  bool dump_coming_from = false;   ///< likewise docs/coming-from.md
  bool doctor = false;             ///< mtrain: look at the machine; needs no deck
  std::optional<int> world_size;   ///< only with check
  std::optional<int> plan_search;  ///< mtrain: list layouts for so many GPUs
  std::string gpu = "h200";        ///< whose rates the plan takes
  std::string gpu_table;           ///< a file of more GPUs
  std::optional<int64_t> show;     ///< mprep: print this record
  std::string deck;                ///< path; empty when only flags were given
  std::vector<std::string> overrides;
};

/// PROGRAM DECK key=value ... of the line, as words of a shell, to be typed again with
/// other flags.
std::vector<std::string> without_flags(const std::string& program,
                                       const CommandLine& line);
/// " --gpu NAME" of the line, and its table.
std::string gpu_flags(const CommandLine& line);

/// Parses `DECK [key=value ...] [flags]`. Throws one UserError that lists every unknown
/// flag (with the nearest known one), a missing DECK, and flags of the other program.
CommandLine parse_command_line(Purpose program, int argc, const char* const* argv);

/// What `--help` prints: usage, flags and every key that `program` reads, with type,
/// default and meaning. With a `topic`, what is known of that key, or the keys of that
/// section. Throws UserError with the nearest name for an unknown one.
std::string help_text(Purpose program, const std::string& topic);

}  // namespace mtrain::config
