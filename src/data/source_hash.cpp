// Owns the hash of all a token store is made from, which tells a store that is out of
// date; called by prepare() and by who wants to reuse a store.
#include <cstdio>
#include <filesystem>

#include "dataset_info.hpp"
#include "input_file.hpp"
#include "mtrain/base/rng.hpp"
#include "mtrain/base/text.hpp"
#include "mtrain/data/prepare.hpp"

namespace mtrain::data {
namespace {

// Raised with every change that makes other samples from the same input.
constexpr int kRulesVersion = 1;
constexpr size_t kBlock = 1 << 20;

template <class T>
std::string show_optional(const std::optional<T>& value) {
  return value ? cat("=", *value) : "null";
}

std::string describe(const PrepareOptions& o) {
  return cat(kRulesVersion, "|", static_cast<int>(o.stage), "|", o.template_name, "|",
             o.cutoff_len, "|", show_optional(o.max_samples), "|",
             show_optional(o.packing), "|", o.neat_packing, o.train_on_prompt,
             o.mask_history, o.preserve_thinking, "|", show_optional(o.enable_thinking),
             "|", show_optional(o.default_system), "|", show_optional(o.tool_format), "|",
             o.preprocessing_batch_size);
}

std::string describe(const DatasetEntry& entry) {
  const AlpacaColumns& c = entry.columns;
  return join(std::vector<std::string>{entry.name, c.prompt, c.query, c.response,
                                       c.history, c.system, c.tools},
              "|");
}

class Hasher {
 public:
  void add(std::string_view bytes) { state_ = hash64(cat(state_, ":", hash64(bytes))); }

  void add_file(const std::string& path) {
    std::ifstream file = open_input(path);
    std::string block(kBlock, '\0');
    while (file.read(block.data(), kBlock), file.gcount() > 0)
      add(std::string_view(block).substr(0, static_cast<size_t>(file.gcount())));
  }

  std::string hex() const {
    char text[17];
    std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(state_));
    return text;
  }

 private:
  uint64_t state_ = 0;
};

}  // namespace

std::string source_hash(const PrepareOptions& options) {
  Hasher hasher;
  hasher.add(describe(options));
  const std::filesystem::path folder(options.tokenizer_dir);
  hasher.add_file((folder / "tokenizer.json").string());
  const auto config = folder / "tokenizer_config.json";
  if (std::filesystem::exists(config)) hasher.add_file(config.string());
  for (const auto& entry :
       read_dataset_info(options.dataset_dir, options.dataset, options.stage)) {
    hasher.add(describe(entry));
    hasher.add_file(entry.path);
  }
  return hasher.hex();
}

}  // namespace mtrain::data
