// Owns opening and reading the user's text files; called by every reader of this layer.
#include "input_file.hpp"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iterator>

#include "mtrain/base/error.hpp"

namespace mtrain::data {

std::ifstream open_input(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored))
    throw UserError(cat(path, " is a folder, not a file"));
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file) throw UserError(cat("cannot open ", path, ": ", std::strerror(errno)));
  return file;
}

std::string read_input(const std::string& path) {
  std::ifstream file = open_input(path);
  std::string bytes{std::istreambuf_iterator<char>(file), {}};
  if (file.bad()) throw UserError(cat("cannot read ", path, ": ", std::strerror(errno)));
  return bytes;
}

}  // namespace mtrain::data
