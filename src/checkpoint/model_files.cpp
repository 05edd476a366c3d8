// The small files of a model folder: copying and writing them; called by export and
// mconvert.
#include "model_files.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "file.hpp"
#include "mtrain/base/error.hpp"
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

void write_file_atomically(const fs::path& path, const std::string& text) {
  const fs::path temporary = path.string() + ".tmp";
  {
    const File file = File::create(temporary);
    file.write_at(0, text.data(), text.size());
    file.sync();
  }
  rename_file(temporary, path);
  sync_parent(path);
}

void sync_parent(const fs::path& path) {
  sync_directory(path.has_parent_path() ? path.parent_path() : ".");
}

std::vector<std::string> copy_tokenizer_files(const fs::path& from, const fs::path& to) {
  std::vector<std::string> copied;
  std::error_code ignored;
  if (fs::equivalent(from, to, ignored)) return copied;
  for (const std::string_view name : kTokenizerFiles) {
    if (!has_entry(from / name)) continue;
    write_file_atomically(to / name, read_text(from / name, kMaxBytes));
    copied.emplace_back(name);
  }
  return copied;
}

}  // namespace mtrain::checkpoint
