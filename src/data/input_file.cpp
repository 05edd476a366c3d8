// Owns the bound on the user's text files; called by every reader of this layer that
// takes one whole.
#include "input_file.hpp"

#include "mtrain/base/file.hpp"

namespace mtrain::data {

std::string read_input(const std::string& path) {
  constexpr int64_t kLongest = int64_t{1} << 30;
  return read_text(File::open_input(path), kLongest);
}

}  // namespace mtrain::data
