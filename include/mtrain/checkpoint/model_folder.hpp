// The small files of a model folder, and what vouches for all of them.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace mtrain::checkpoint {

/// Beside an exported model: checksums of its files, for mconvert verify.
inline constexpr char kChecksumsFile[] = "mtrain_checksums.json";

struct TextFile {
  std::string name;
  std::string text;
};

/// The tokenizer and generation files a model folder may have (tokenizer.json,
/// tokenizer_config.json, vocab.json, merges.txt, special_tokens_map.json,
/// added_tokens.json, chat_template.jinja, generation_config.json) where present. Links
/// are followed. UserError for one that cannot be read.
std::vector<TextFile> read_tokenizer_files(const std::filesystem::path& folder);

/// Writes the small files of an exported model, each atomically, and at last the
/// checksums: of these, and of the weights as SafetensorsWriter::commit() returned them.
void write_side_files(const std::filesystem::path& folder,
                      const std::vector<TextFile>& files, const std::string& weights);

}  // namespace mtrain::checkpoint
