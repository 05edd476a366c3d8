// Owns the reading of dataset_info.json in LLaMA-Factory's form; called by prepare().
#include "dataset_info.hpp"

#include <algorithm>
#include <filesystem>
#include <iterator>

#include "input_file.hpp"
#include "json_field.hpp"
#include "mtrain/base/log.hpp"

namespace mtrain::data {
namespace {

constexpr const char* kFileName = "dataset_info.json";

std::vector<std::string> keys_of(const Json& object) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.push_back(key);
  return keys;
}

std::string column(const JsonField& columns, const char* key) {
  return columns.has(key) ? columns.at(key).string() : "";
}

// Where `columns` is given, what it does not name does not exist, not even by default.
AlpacaColumns read_columns(const JsonField& entry) {
  if (!entry.has("columns")) return {"instruction", "input", "output", "", "", ""};
  const JsonField columns = entry.at("columns");
  for (const char* key : {"images", "videos", "audios", "kto_tag", "chosen", "rejected"})
    if (columns.has(key)) columns.at(key).fault("is not supported yet");
  return {column(columns, "prompt"),   column(columns, "query"),
          column(columns, "response"), column(columns, "history"),
          column(columns, "system"),   column(columns, "tools")};
}

void refuse_unsupported(const JsonField& entry, Stage stage) {
  for (const char* key : {"hf_hub_url", "ms_hub_url", "om_hub_url", "script_url",
                          "cloud_file_name", "num_samples", "subset", "folder"})
    if (entry.has(key)) entry.at(key).fault("is not supported: datasets are local files");
  if (entry.has("split") && entry.at("split").string() != "train")
    entry.at("split").fault("is not supported: a local file is one split");
  if (entry.flag("ranking", false) != (stage == Stage::kDpo))
    entry.fault(stage == Stage::kDpo
                    ? "has no 'ranking': stage dpo needs preference pairs"
                    : "has 'ranking': it is for stage dpo only");
  if (!entry.has("formatting")) return;
  const std::string& formatting = entry.at("formatting").string();
  if (formatting != "alpaca")
    entry.at("formatting")
        .fault(cat("is '", formatting, "': only 'alpaca' is supported so far"));
}

void warn_of_unknown(const JsonField& entry) {
  const auto known = {"file_name", "formatting", "ranking", "columns", "tags", "split"};
  for (const auto& key : keys_of(entry.object()))
    if (std::find(known.begin(), known.end(), key) == known.end())
      log::warning(cat(entry.place(), ".", key, " has no effect"));
}

DatasetEntry read_entry(const JsonField& entry, const std::string& name,
                        const std::string& dataset_dir, Stage stage) {
  entry.object();
  refuse_unsupported(entry, stage);
  warn_of_unknown(entry);
  const auto path = std::filesystem::path(dataset_dir) / entry.at("file_name").string();
  return {name, path.string(), Formatting::kAlpaca, read_columns(entry)};
}

}  // namespace

std::vector<DatasetEntry> read_dataset_info(const std::string& dataset_dir,
                                            const std::vector<std::string>& names,
                                            Stage stage) {
  const std::string path = (std::filesystem::path(dataset_dir) / kFileName).string();
  const Json json = parse_json(read_input(path), path);
  if (!json.is_object()) throw UserError(cat(path, ": must hold a JSON object"));
  const JsonField root(json, cat(path, ": "));
  std::vector<DatasetEntry> entries;
  for (const auto& name : names) {
    if (!json.contains(name)) {
      const std::string near = nearest(name, keys_of(json));
      throw UserError(
          cat("dataset '", name, "' is not in ", path),
          near.empty() ? "add an entry for it" : cat("did you mean '", near, "'?"));
    }
    entries.push_back(read_entry(root.at(name.c_str()), name, dataset_dir, stage));
  }
  return entries;
}

}  // namespace mtrain::data
