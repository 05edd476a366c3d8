// Owns the list of values that need something not built yet; checked by parse_deck.
// Whoever builds a capability deletes its lines here, and nothing else in this layer.
#include "not_built.hpp"

#include <algorithm>
#include <cstdlib>

#include "mtrain/base/text.hpp"

namespace mtrain::config {

const std::vector<NotBuilt>& not_built() {
  static const std::vector<NotBuilt> rows = {
      {"finetuning_type", "!= full", "training of a part of the weights"},
      {"context_parallel_size", "> 1", "context parallelism"},
      {"template", "qwen3_vl qwen3_vl_nothink", "training with images"},
  };
  return rows;
}

bool needs_missing(const NotBuilt& row, const std::string& text,
                   const std::string& default_text) {
  if (text == default_text) return false;
  if (row.values == "*") return true;
  if (row.values.starts_with("> ")) {
    return std::strtod(text.c_str(), nullptr) >
           std::strtod(row.values.c_str() + 2, nullptr);
  }
  if (row.values.starts_with("!= ")) return text != row.values.substr(3);
  const std::vector<std::string> words = split(row.values, ' ');
  for (const std::string& item : split(text, ',')) {
    if (std::find(words.begin(), words.end(), trim(item)) != words.end()) return true;
  }
  return false;
}

}  // namespace mtrain::config
