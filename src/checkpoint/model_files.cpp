// The small files of a model folder: copying and writing them; called by export and
// mconvert.
#include "model_files.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "mtrain/base/error.hpp"
#include "mtrain/base/file.hpp"
#include "mtrain/checkpoint/convert.hpp"

namespace mtrain::checkpoint {

namespace fs = std::filesystem;

namespace {

constexpr int64_t kMaxBytes = 256 << 20;

constexpr std::array<std::string_view, 8> kTokenizerFiles = {
    "tokenizer.json",      "tokenizer_config.json",   "vocab.json",
    "merges.txt",          "special_tokens_map.json", "added_tokens.json",
    "chat_template.jinja", "generation_config.json"};

}  // namespace

bool is_model_file(const std::string& name) {
  return name.ends_with(".safetensors") || name == "model.safetensors.index.json" ||
         name == "config.json" ||
         std::ranges::find(kTokenizerFiles, name) != kTokenizerFiles.end();
}

std::vector<std::string> copy_tokenizer_files(const fs::path& from, const fs::path& to) {
  std::vector<std::string> copied;
  std::error_code ignored;
  if (fs::equivalent(from, to, ignored)) return copied;
  for (const std::string_view name : kTokenizerFiles) {
    if (!has_entry(from / name)) continue;
    write_file_atomically(to / name, read_text(File::open_input(from / name), kMaxBytes));
    copied.emplace_back(name);
  }
  return copied;
}

std::vector<std::string> readable_tokenizer_files(const fs::path& folder) {
  std::vector<std::string> names;
  for (const std::string_view name : kTokenizerFiles) {
    if (!has_entry(folder / name)) continue;
    read_text(File::open_input(folder / name), kMaxBytes);
    names.emplace_back(name);
  }
  return names;
}

}  // namespace mtrain::checkpoint
