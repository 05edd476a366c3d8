// The flags of the programs that read a deck.
#pragma once

#include <string>
#include <vector>

#include "mtrain/config/command_line.hpp"

namespace mtrain::config {

struct Flag {
  std::string name;      ///< without the dashes
  std::string argument;  ///< "N", empty, or "[=WORD]" where there may be none
  std::string meaning;
  bool hidden = false;  ///< not in --help
};

/// The flags `program` knows.
std::vector<Flag> flags_of(Purpose program);

}  // namespace mtrain::config
