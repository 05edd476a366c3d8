// Reading the user's text files.
#pragma once

#include <fstream>
#include <string>

namespace mtrain::data {

/// Opens `path` for reading. UserError with path and reason ("no such file") when it
/// can't be.
std::ifstream open_input(const std::string& path);

/// All bytes of a file.
std::string read_input(const std::string& path);

}  // namespace mtrain::data
