// Reading the user's text files.
#pragma once

#include <string>

namespace mtrain::data {

/// All bytes of a file, links followed, of at most 1 GiB. UserError with path and reason
/// when it can't be read.
std::string read_input(const std::string& path);

}  // namespace mtrain::data
