// Owns reading of INI decks and of overrides; called by parse_deck.
#include <boost/program_options/errors.hpp>
#include <boost/program_options/options_description.hpp>
#include <boost/program_options/parsers.hpp>
#include <sstream>

#include "entry.hpp"
#include "key_table.hpp"

namespace mtrain::config {

namespace {

namespace po = boost::program_options;

/// Splits "section.key" at its first dot.
void set_name(Entry& entry, const std::string& full_name) {
  const size_t dot = full_name.find('.');
  entry.section = dot == std::string::npos ? "" : full_name.substr(0, dot);
  entry.name = dot == std::string::npos ? full_name : full_name.substr(dot + 1);
}

/// One line through Boost's parser. It is given a line at a time because it tells neither
/// line numbers nor more than the first fault of a text.
std::vector<po::option> parse_line(const std::string& line) {
  std::istringstream stream(line);
  const po::options_description none;
  return po::parse_config_file(stream, none, /*allow_unregistered=*/true).options;
}

/// The name inside "[name]", or nothing when the line opens no section.
std::optional<std::string> section_header(const std::string& line) {
  const std::string_view text = trim(std::string_view(line).substr(0, line.find('#')));
  if (text.size() < 3 || text.front() != '[' || text.back() != ']') return {};
  return std::string(trim(text.substr(1, text.size() - 2)));
}

/// The section itself; empty, so that its keys are taken by name, after a fault when
/// unknown.
std::string checked_section(const std::string& section, const Origin& origin,
                            Faults& faults) {
  if (faults.full()) {
    faults.add(origin.place, section, "");
    return {};
  }
  std::vector<std::string> names;
  for (const SectionInfo& known : all_sections()) {
    if (known.name == section) return section;
    names.push_back(known.name);
  }
  const std::string near = section.size() > 64 ? "" : nearest(section, names);
  faults.add(origin.place, cat("section [", shown(section), "] is unknown"),
             near.empty() ? cat("known are ", join(names, ", "))
                          : cat("did you mean [", near, "]?"));
  return {};
}

void read_line(const std::string& line, const std::string& section, const Origin& origin,
               std::vector<Entry>& entries, Faults& faults) {
  try {
    for (const po::option& option : parse_line(line)) {
      Entry entry;
      set_name(entry, option.string_key);
      if (entry.section.empty()) entry.section = section;
      entry.origin = origin;
      const std::string text = option.value.empty() ? "" : option.value.front();
      std::optional<Fault> fault;
      entry.value = raw_from_text(text, fault);
      if (fault) {
        faults.add(origin.place, cat(entry.name, " = ", shown(text), " ", fault->rule),
                   fault->suggestion);
      } else {
        entries.push_back(std::move(entry));
      }
    }
  } catch (const po::error&) {
    faults.add(origin.place, cat("\"", shown(line), "\" is not of the form key = value"),
               "write key = value, [section] or a # comment");
  }
}

}  // namespace

std::vector<Entry> read_ini(const DeckText& source, Faults& faults) {
  std::vector<Entry> entries;
  std::string section;
  int number = 0;
  for (const std::string& line : split(source.text, '\n')) {
    const Origin origin{Origin::Kind::kDeck, cat(source.name, ":", ++number)};
    if (const auto header = section_header(line)) {
      section = checked_section(*header, origin, faults);
    } else {
      read_line(line, section, origin, entries, faults);
    }
  }
  return entries;
}

std::vector<Entry> read_overrides(const std::vector<std::string>& overrides,
                                  Faults& faults) {
  std::vector<Entry> entries;
  for (const std::string& text : overrides) {
    const Origin origin{Origin::Kind::kCommandLine, "command line"};
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
      faults.add(origin.place, cat("\"", shown(text), "\" is not of the form key=value"),
                 "write for instance max_steps=100");
      continue;
    }
    Entry entry;
    set_name(entry, std::string(trim(text.substr(0, equals))));
    entry.origin = origin;
    std::optional<Fault> fault;
    entry.value = raw_from_text(text.substr(equals + 1), fault);
    if (fault) {
      faults.add(origin.place, cat(shown(text), " ", fault->rule), fault->suggestion);
    } else {
      entries.push_back(std::move(entry));
    }
  }
  return entries;
}

}  // namespace mtrain::config
