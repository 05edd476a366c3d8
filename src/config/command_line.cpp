// Owns the command line of the programs that read a deck; called by their main functions.
#include "mtrain/config/command_line.hpp"

#include <boost/program_options/errors.hpp>
#include <boost/program_options/options_description.hpp>
#include <boost/program_options/parsers.hpp>
#include <boost/program_options/positional_options.hpp>
#include <utility>

#include "entry.hpp"
#include "flags.hpp"

namespace mtrain::config {

namespace {

namespace po = boost::program_options;

po::parsed_options parse_with_boost(Purpose program, int argc, const char* const* argv) {
  po::options_description description;
  for (const Flag& flag : flags_of(program)) {
    if (flag.argument.empty()) {
      description.add_options()(flag.name.c_str(), flag.meaning.c_str());
    } else {
      description.add_options()(flag.name.c_str(), po::value<std::string>(),
                                flag.meaning.c_str());
    }
  }
  description.add_options()("words", po::value<std::vector<std::string>>());
  po::positional_options_description words;
  words.add("words", -1);
  const int style = po::command_line_style::unix_style &
                    ~po::command_line_style::allow_guessing &
                    ~po::command_line_style::allow_short;
  return po::command_line_parser(argc, argv)
      .options(description)
      .positional(words)
      .style(style)
      .allow_unregistered()
      .run();
}

void report_unknown(const po::option& option, Purpose program, Faults& faults) {
  const std::string flag =
      option.original_tokens.empty() ? option.string_key : option.original_tokens.front();
  std::vector<std::string> names;
  for (const Flag& known : flags_of(program)) names.push_back("--" + known.name);
  const std::string near = flag.size() > 64 ? "" : nearest(flag, names);
  faults.add("", cat("flag ", shown(flag), " is unknown"),
             near.empty()
                 ? cat("known are ", join(names, ", "), "; keys are given as key=value")
                 : cat("did you mean ", near, "?"));
}

/// The whole number after `flag`.
int64_t number_after(const po::option& option, const Limits& limits, int64_t highest,
                     Faults& faults) {
  int64_t value = 0;
  const std::string text = option.value.empty() ? "" : option.value.front();
  if (const auto fault = parse_integer(text, limits, 0, highest, value)) {
    faults.add("", cat("--", option.string_key, " ", shown(text), " ", fault->rule),
               fault->suggestion);
  }
  return value;
}

void take_word(const std::string& word, CommandLine& out, Faults& faults) {
  if (word == "-h") {
    out.help = true;
  } else if (word.starts_with('-')) {
    faults.add("", cat("flag ", shown(word), " is unknown"),
               "flags have two dashes, keys are given as key=value; see --help");
  } else if (word.find('=') != std::string::npos) {
    out.overrides.push_back(word);
  } else if (out.deck.empty()) {
    out.deck = word;
  } else {
    faults.add("",
               cat("a second deck is given: ", shown(word), " after ", shown(out.deck)),
               "give one deck; keys are given as key=value");
  }
}

void take_flag(const po::option& option, CommandLine& out, Faults& faults) {
  const std::string& name = option.string_key;
  constexpr int64_t kMostRanks = 1 << 20;
  if (name == "help") out.help = true;
  if (name == "version") out.version = true;
  if (name == "check") out.check = true;
  if (name == "quiet") out.quiet = true;
  if (name == "dump-deck") out.dump_deck = true;
  if (name == "ranks") out.ranks = true;
  if (name == "accept-changes") out.overrides.push_back("accept_changes=true");
  if (name == "dump-reference") out.dump_reference = true;
  if (name == "doctor") out.doctor = true;
  if (name == "gpu") out.gpu = option.value.empty() ? "" : option.value.front();
  if (name == "plan-search") {
    out.plan_search =
        static_cast<int>(number_after(option, at_least(1), kMostRanks, faults));
  }
  if (name == "dump-coming-from") out.dump_coming_from = true;
  if (name == "world-size") {
    out.world_size =
        static_cast<int>(number_after(option, at_least(1), kMostRanks, faults));
  }
  if (name == "show") {
    out.show =
        number_after(option, at_least(0), std::numeric_limits<int64_t>::max(), faults);
  }
}

void check_together(CommandLine& out, Faults& faults) {
  if (out.help) out.topic = std::exchange(out.deck, "");
  const bool needs_no_deck =
      out.help || out.version || out.dump_reference || out.dump_coming_from || out.doctor;
  if (out.deck.empty() && !needs_no_deck) {
    faults.add("", "no deck is given",
               "give the path of an INI or YAML deck; see --help");
  }
  if (out.world_size && !out.check) {
    faults.add("", "--world-size is for --check only",
               "add --check, or start that many ranks with mpirun -np");
  }
}

}  // namespace

CommandLine parse_command_line(Purpose program, int argc, const char* const* argv) {
  CommandLine out;
  Faults faults;
  try {
    for (const po::option& option : parse_with_boost(program, argc, argv).options) {
      if (option.position_key >= 0 || option.string_key == "words") {
        for (const std::string& word : option.value) take_word(word, out, faults);
      } else if (option.unregistered) {
        report_unknown(option, program, faults);
      } else {
        take_flag(option, out, faults);
      }
    }
    check_together(out, faults);
  } catch (const po::error& error) {
    faults.add("", error.what(), "see --help");
  }
  faults.throw_if_any("the command line");
  return out;
}

}  // namespace mtrain::config
