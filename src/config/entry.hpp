// One line of a deck or one override, before its name is looked up; and the list of
// faults.
#pragma once

#include <string>
#include <vector>

#include "mtrain/config/parse.hpp"
#include "value.hpp"

namespace mtrain::config {

struct Entry {
  std::string section;  ///< empty in YAML and where the command line names none
  std::string name;
  RawValue value;
  Origin origin;
};

/// Text cut to a length that fits into a message, control characters replaced.
std::string shown(const std::string& text);

/// Collects every fault of a deck, to be thrown as one UserError; of more than a hundred
/// the rest is counted.
class Faults {
 public:
  /// "place: message; suggestion" as one line; empty parts are left out.
  void add(const std::string& place, const std::string& message,
           const std::string& suggestion);
  bool empty() const { return lines_.empty(); }
  /// Whether further faults are only counted, so that no hint is needed.
  bool full() const { return lines_.size() >= kMostLines; }
  /// Throws UserError "N faults in WHAT:" with one indented line each, if there are any.
  void throw_if_any(const std::string& what) const;

 private:
  static constexpr size_t kMostLines = 100;

  std::vector<std::string> lines_;
  size_t more_ = 0;
};

/// Lines of an INI deck, each through Boost.Program_options so that its number is known.
std::vector<Entry> read_ini(const DeckText& source, Faults& faults);
/// Keys of a flat YAML (or JSON) mapping.
std::vector<Entry> read_yaml(const DeckText& source, Faults& faults);
/// "key=value" or "section.key=value" of the command line.
std::vector<Entry> read_overrides(const std::vector<std::string>& overrides,
                                  Faults& faults);

}  // namespace mtrain::config
