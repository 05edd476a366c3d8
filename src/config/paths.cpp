// Owns what "~" means in front of a path; called by the programs, which know the home
// folder.
#include <pwd.h>

#include "key_table.hpp"
#include "mtrain/config/parse.hpp"

namespace mtrain::config {

namespace {

/// "~/x" in the home folder, "~ann/x" in that of Ann.
std::string expanded(const std::string& path, const std::string& home) {
  if (!path.starts_with('~')) return path;
  const size_t slash = std::min(path.find('/'), path.size());
  const std::string user = path.substr(1, slash - 1), rest = path.substr(slash);
  std::string folder = home;
  if (!user.empty()) {
    const passwd* entry = getpwnam(user.c_str());
    if (entry == nullptr) return path;
    folder = entry->pw_dir;
  }
  while (folder.ends_with('/')) folder.pop_back();
  return folder.empty() && rest.empty() ? "/" : folder + rest;
}

}  // namespace

void expand_home(ParsedDeck& parsed, const std::string& home) {
  for (const Key& key : all_keys()) {
    if (!key.path) continue;
    std::string& path = key.path(parsed.deck);
    path = expanded(path, home);
  }
}

}  // namespace mtrain::config
