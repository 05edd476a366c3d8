// Owns the search for models that a hub's own program downloaded; called by the programs
// before a deck is used.
#include "hub_cache.hpp"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <initializer_list>

#include "mtrain/base/error.hpp"
#include "mtrain/base/file.hpp"
#include "mtrain/base/log.hpp"
#include "mtrain/base/text.hpp"
#include "mtrain/train/run.hpp"

namespace mtrain::train {
namespace {

namespace fs = std::filesystem;

/// The first of these variables that is set, or nothing.
std::optional<fs::path> variable(std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const char* value = std::getenv(name);
    if (value && *value) return fs::path(value);
  }
  return std::nullopt;
}

fs::path home() {
  return variable({"HOME"}).value_or("/");
}

/// "~/x" as the shell reads it.
fs::path expanded(const fs::path& path) {
  if (path.empty() || *path.begin() != "~") return path;
  return home() / path.lexically_relative("~");
}

fs::path user_cache() {
  return expanded(variable({"XDG_CACHE_HOME"}).value_or(home() / ".cache"));
}

bool is_plain_name(const std::string& name) {
  const auto good = [](unsigned char c) {
    return std::isalnum(c) || c == '-' || c == '_' || c == '.';
  };
  return !name.empty() && std::ranges::all_of(name, good) &&
         std::isalnum(static_cast<unsigned char>(name[0]));
}

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

/// The commit a branch or tag stood at when it was downloaded; a revision that is none of
/// these is a commit itself.
std::string commit_of(const fs::path& model, const std::string& revision) {
  std::error_code ignored;
  const fs::path ref = model / "refs" / revision;
  if (!fs::is_regular_file(ref, ignored)) return revision;
  constexpr int64_t kLongest = 64;
  return std::string(trim(read_text(File::open_input(ref), kLongest)));
}

/// "Qwen/Qwen3-0.6B" is "models--Qwen--Qwen3-0.6B" in Hugging Face's cache.
std::optional<fs::path> find_snapshot(const fs::path& cache, const std::string& id,
                                      const std::string& revision) {
  const fs::path model = cache / ("models--" + join(split(id, '/'), "--"));
  const std::string commit = commit_of(model, revision);
  if (!is_plain_name(commit)) return std::nullopt;
  const fs::path snapshot = model / "snapshots" / commit;
  return is_folder(snapshot) ? std::optional(snapshot) : std::nullopt;
}

/// ModelScope writes "___" for dots.
std::optional<fs::path> find_model_scope(const fs::path& cache, const std::string& id) {
  const std::string name = join(split(id, '.'), "___");
  for (const fs::path& folder : {cache / "models" / name, cache / name})
    if (is_folder(folder)) return folder;
  return std::nullopt;
}

[[noreturn]] void refuse(const std::string& key, const std::string& id,
                         const std::string& revision, const HubCaches& caches) {
  const std::string which = revision == "main" ? "" : " --revision " + revision;
  throw UserError(
      cat(key, ": no folder ", id, ", and no such model in the hub's cache, ",
          caches.hugging_face.string()),
      cat("download it (hf download ", id, which, ", with older tools huggingface-cli ",
          "download ", id, which, ", from ModelScope modelscope download --model ", id,
          "), or give the folder that holds it"));
}

}  // namespace

HubCaches hub_caches(const std::string& cache_dir) {
  HubCaches caches;
  const fs::path hf_home =
      expanded(variable({"HF_HOME"}).value_or(user_cache() / "huggingface"));
  caches.hugging_face = expanded(
      variable({"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"}).value_or(hf_home / "hub"));
  caches.model_scope =
      expanded(variable({"MODELSCOPE_CACHE"}).value_or(home() / ".cache/modelscope/hub"));
  if (!cache_dir.empty()) caches.hugging_face = caches.model_scope = expanded(cache_dir);
  return caches;
}

bool is_hub_id(const std::string& name) {
  const auto parts = split(name, '/');
  return parts.size() == 2 && is_plain_name(parts[0]) && is_plain_name(parts[1]) &&
         name.find("..") == name.npos;
}

std::optional<fs::path> find_download(const HubCaches& caches, const std::string& id,
                                      const std::string& revision) {
  if (const auto snapshot = find_snapshot(caches.hugging_face, id, revision))
    return snapshot;
  return revision == "main" ? find_model_scope(caches.model_scope, id) : std::nullopt;
}

std::string local_model(const HubChoice& choice, const std::string& key,
                        const std::string& name) {
  if (!is_hub_id(name) || is_folder(name)) return name;
  const HubCaches caches = hub_caches(choice.cache_dir);
  const auto folder = find_download(caches, name, choice.revision);
  if (!folder) refuse(key, name, choice.revision, caches);
  log::info(cat(key, ": ", name, " was downloaded to ", folder->string()));
  return folder->string();
}

void use_local_models(config::ParsedDeck& parsed, const comm::Session& session) {
  config::Deck& deck = parsed.deck;
  const HubChoice choice{deck.model.model_revision, deck.model.cache_dir};
  const auto replace = [&](const char* key, std::string& name) {
    std::string folder;
    session.agree([&] {
      if (session.rank() == 0) folder = local_model(choice, key, name);
    });
    name = session.broadcast_text(folder);
  };
  replace("model_name_or_path", deck.model.model_name_or_path);
  replace("ref_model", deck.dpo.ref_model);
}

}  // namespace mtrain::train
