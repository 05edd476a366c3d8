// Owns the hash of all a token store is made from, which tells a store that is out of
// date; called by the preparation.
#include <filesystem>

#include "batch_encoder.hpp"
#include "dataset_info.hpp"
#include "mapped_file.hpp"
#include "mtrain/base/text.hpp"
#include "mtrain/data/content_hash.hpp"
#include "mtrain/data/prepare.hpp"
#include "tokenizer_config.hpp"

namespace mtrain::data {
namespace {

// Raised with every change that makes other samples from the same input.
constexpr int kRulesVersion = 3;

template <class T>
std::string show_optional(const std::optional<T>& value) {
  return value ? cat("=", *value) : "null";
}

std::string describe(const PrepareOptions& o) {
  return cat(kRulesVersion, "|", static_cast<int>(o.stage), "|", o.template_name, "|",
             o.cutoff_len, "|", show_optional(o.max_samples), "|",
             show_optional(o.packing), "|", o.neat_packing, o.train_on_prompt,
             o.mask_history, o.skip_malformed, "|", show_optional(o.preserve_thinking),
             "|", static_cast<int>(o.compat_version),
             static_cast<int>(o.reasoning_effort), "|", show_optional(o.enable_thinking),
             "|", show_optional(o.default_system), "|", show_optional(o.tool_format), "|",
             o.preprocessing_batch_size, "|", static_cast<int>(o.mix_strategy), "|",
             join(o.interleave_probs, ","), "|", o.val_size, "|", o.seed, "|",
             o.dataset.size(), o.documents_apart ? "|documents" : "",
             o.preprocessing_num_workers > 1 && encodes_together(o)
                 ? cat("|workers ", o.preprocessing_num_workers)
                 : "");
}

std::string describe(const DatasetEntry& entry) {
  const ColumnNames& c = entry.columns;
  const TagNames& t = entry.tags;
  return join(
      std::vector<std::string>{
          entry.name, std::to_string(static_cast<int>(entry.formatting)),
          show_optional(entry.num_samples), c.prompt, c.query, c.response, c.messages,
          c.history, c.system, c.tools, c.chosen, c.rejected, t.role, t.content, t.user,
          t.assistant, t.observation, t.function, t.system},
      "|");
}

}  // namespace

std::string source_hash(const PrepareOptions& options) {
  ContentHash hash;
  hash.add(describe(options));
  const std::filesystem::path folder(options.tokenizer_dir);
  hash.add(MappedFile((folder / "tokenizer.json").string()).bytes());
  const auto config = folder / "tokenizer_config.json";
  if (std::filesystem::exists(config)) hash.add(MappedFile(config.string()).bytes());
  for (const std::string& name : chat_template_files(options.tokenizer_dir)) {
    hash.add(name);
    hash.add(MappedFile((folder / name).string()).bytes());
  }
  for (const auto* names : {&options.dataset, &options.eval_dataset})
    for (const auto& entry :
         read_dataset_info(options.dataset_dir, *names, options.stage)) {
      hash.add(describe(entry));
      for (const auto& path : entry.paths) hash.add(MappedFile(path).bytes());
    }
  return hash.hex();
}

}  // namespace mtrain::data
