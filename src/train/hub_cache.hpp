// Models that were downloaded before: what stands where in the caches of the hubs.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace mtrain::train {

/// Folders that hold downloaded models.
struct HubCaches {
  std::filesystem::path hugging_face;  ///< models--ORG--NAME/refs, /snapshots
  std::filesystem::path model_scope;   ///< models/ORG/NAME
};

/// The folders the hubs' own programs would use: `cache_dir` (the deck's key) where it is
/// given, else HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME or XDG_CACHE_HOME, and
/// MODELSCOPE_CACHE.
HubCaches hub_caches(const std::string& cache_dir);

/// Whether `name` can be a model of a hub: ORG/NAME.
bool is_hub_id(const std::string& name);

/// The folder in a cache that holds the model `id` in this revision (a branch, a tag or
/// a commit).
std::optional<std::filesystem::path> find_download(const HubCaches& caches,
                                                   const std::string& id,
                                                   const std::string& revision);

/// Which download is meant.
struct HubChoice {
  std::string revision = "main";
  std::string cache_dir = {};  ///< as for hub_caches()
};

/// The folder that the deck's `key` means by `name`: `name` itself where it is a folder
/// or no hub's id, else the download in a cache, which is said. Throws UserError with the
/// command that downloads it where there is none. Nothing is fetched.
std::string local_model(const HubChoice& choice, const std::string& key,
                        const std::string& name);

}  // namespace mtrain::train
