// The small files of a model folder: reading and writing them; called by export and
// mconvert.
#include "model_files.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "model_checksums.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/base/file.hpp"
#include "mtrain/checkpoint/convert.hpp"
#include "mtrain/checkpoint/model_folder.hpp"

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
         name == "config.json" || name == kChecksumsFile ||
         std::ranges::find(kTokenizerFiles, name) != kTokenizerFiles.end();
}

std::vector<TextFile> read_tokenizer_files(const fs::path& folder) {
  std::vector<TextFile> files;
  for (const std::string_view name : kTokenizerFiles) {
    const fs::path path = folder / name;
    if (has_entry(path))
      files.push_back({std::string(name), read_text(File::open_input(path), kMaxBytes)});
  }
  return files;
}

void write_side_files(const fs::path& folder, const std::vector<TextFile>& files,
                      const std::string& weights) {
  ModelSums sums = parse_checksums(weights, "checksums of an export");
  for (const TextFile& file : files) {
    write_file_atomically(folder / file.name, file.text);
    sums.files.push_back(sum_of(file.name, file.text));
  }
  write_file_atomically(folder / kChecksumsFile, checksums_text(sums));
}

}  // namespace mtrain::checkpoint
