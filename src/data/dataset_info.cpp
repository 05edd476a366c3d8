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

/// A name in dataset_info.json and the member it fills.
template <class Names>
struct NameKey {
  const char* key;
  std::string Names::*member;
};

constexpr NameKey<ColumnNames> kColumns[] = {
    {"prompt", &ColumnNames::prompt},     {"query", &ColumnNames::query},
    {"response", &ColumnNames::response}, {"messages", &ColumnNames::messages},
    {"history", &ColumnNames::history},   {"system", &ColumnNames::system},
    {"tools", &ColumnNames::tools},       {"chosen", &ColumnNames::chosen},
    {"rejected", &ColumnNames::rejected},
};
constexpr NameKey<TagNames> kTags[] = {
    {"role_tag", &TagNames::role},
    {"content_tag", &TagNames::content},
    {"user_tag", &TagNames::user},
    {"assistant_tag", &TagNames::assistant},
    {"observation_tag", &TagNames::observation},
    {"function_tag", &TagNames::function},
    {"system_tag", &TagNames::system},
};

// Where `columns` or `tags` is given, what it does not name does not exist, not even by
// default.
template <class Names, size_t N>
Names read_names(const JsonField& entry, const char* member,
                 const NameKey<Names> (&keys)[N],
                 std::initializer_list<const char*> unsupported) {
  Names names;
  if (!entry.has(member)) return names;
  const JsonField given = entry.at(member);
  for (const auto& item : given.object().items()) {
    const std::string& name = item.key();
    const bool known = std::any_of(std::begin(keys), std::end(keys),
                                   [&](const auto& key) { return name == key.key; });
    const bool refused = std::any_of(unsupported.begin(), unsupported.end(),
                                     [&](const char* other) { return name == other; });
    if (refused && !item.value().is_null())
      given.at(name.c_str()).fault("is not supported yet");
    if (!known && !refused) log::warning(cat(given.place(), ".", name, " has no effect"));
  }
  for (const auto& key : keys)
    names.*key.member = given.has(key.key) ? given.at(key.key).string() : "";
  return names;
}

Formatting read_formatting(const JsonField& entry) {
  if (!entry.has("formatting")) return Formatting::kAlpaca;
  const std::string& name = entry.at("formatting").string();
  if (name == "alpaca") return Formatting::kAlpaca;
  if (name == "sharegpt") return Formatting::kSharegpt;
  if (name == "openai") return Formatting::kOpenai;
  entry.at("formatting")
      .fault(cat("is '", name, "': known are alpaca, sharegpt and openai"));
}

void refuse_unsupported(const JsonField& entry, Stage stage) {
  for (const char* key : {"hf_hub_url", "ms_hub_url", "om_hub_url", "script_url",
                          "cloud_file_name", "subset", "folder"})
    if (entry.has(key)) entry.at(key).fault("is not supported: datasets are local files");
  if (entry.has("split") && entry.at("split").string() != "train")
    entry.at("split").fault("is not supported: a local file is one split");
  if (entry.flag("ranking", false) != (stage == Stage::kDpo))
    entry.fault(stage == Stage::kDpo
                    ? "has no 'ranking': stage dpo needs preference pairs"
                    : "has 'ranking': it is for stage dpo only");
}

void warn_of_unknown(const JsonField& entry) {
  const auto known = {"file_name", "formatting", "ranking",    "columns",
                      "tags",      "split",      "num_samples"};
  for (const auto& key : keys_of(entry.object()))
    if (std::find(known.begin(), known.end(), key) == known.end())
      log::warning(cat(entry.place(), ".", key, " has no effect"));
}

// A folder stands for all its files, in the order of their names.
std::vector<std::string> files_of(const JsonField& file_name,
                                  const std::string& dataset_dir) {
  namespace fs = std::filesystem;
  const fs::path path = fs::path(dataset_dir) / file_name.string();
  if (!fs::is_directory(path)) return {path.string()};
  std::vector<std::string> paths;
  for (const auto& file : fs::directory_iterator(path)) {
    paths.push_back(file.path().string());
    if (file.path().extension() != fs::path(paths.front()).extension())
      file_name.fault(cat("is a folder with files of several types: ", paths.front(),
                          " and ", paths.back()));
  }
  if (paths.empty()) file_name.fault("is an empty folder");
  std::sort(paths.begin(), paths.end());
  return paths;
}

std::optional<int64_t> read_num_samples(const JsonField& entry) {
  if (!entry.has("num_samples")) return std::nullopt;
  const int64_t count = entry.at("num_samples").index(INT32_MAX);
  if (count == 0) entry.at("num_samples").fault("must be above 0");
  return count;
}

/// Names a user may have meant, or the first ones there are.
std::string names_like(const std::string& name, std::vector<std::string> known) {
  if (known.empty()) return "the file is empty: add an entry for it";
  std::vector<std::string> near;
  const std::string misspelt = nearest(name, known);
  if (!misspelt.empty()) near.push_back(misspelt);
  for (const auto& other : known) {
    const bool part = other.find(name) != other.npos || name.find(other) != name.npos;
    if (part && !name.empty() && other != misspelt) near.push_back(other);
  }
  constexpr size_t kShown = 8;
  const bool guessed = !near.empty();
  std::vector<std::string>& shown = guessed ? near : known;
  const size_t more = shown.size() - std::min(shown.size(), kShown);
  shown.resize(shown.size() - more);
  const std::string list =
      cat("'", join(shown, "', '"), "'", more > 0 ? cat(" and ", more, " more") : "");
  return guessed ? cat("did you mean ", list, "?")
                 : cat("it has ", list, "; or add an entry for it");
}

DatasetEntry read_entry(const JsonField& entry, const std::string& name,
                        const std::string& dataset_dir, Stage stage) {
  entry.object();
  refuse_unsupported(entry, stage);
  warn_of_unknown(entry);
  DatasetEntry result;
  result.name = name;
  result.paths = files_of(entry.at("file_name"), dataset_dir);
  result.formatting = read_formatting(entry);
  result.ranking = stage == Stage::kDpo;
  result.num_samples = read_num_samples(entry);
  result.columns =
      read_names(entry, "columns", kColumns, {"images", "videos", "audios", "kto_tag"});
  result.tags = read_names(entry, "tags", kTags, {});
  return result;
}

}  // namespace

std::vector<DatasetEntry> read_dataset_info(const std::string& dataset_dir,
                                            const std::vector<std::string>& names,
                                            Stage stage) {
  const std::string path = (std::filesystem::path(dataset_dir) / kFileName).string();
  const Json json = parse_json(read_input(path), path, JsonDialect::kPython);
  if (!json.is_object()) throw UserError(cat(path, ": must hold a JSON object"));
  const JsonField root(json, cat(path, ": "));
  std::vector<DatasetEntry> entries;
  for (const auto& name : names) {
    if (!json.contains(name))
      throw UserError(cat("dataset '", name, "' is not in ", path),
                      names_like(name, keys_of(json)));
    entries.push_back(read_entry(root.at(name.c_str()), name, dataset_dir, stage));
  }
  return entries;
}

}  // namespace mtrain::data
