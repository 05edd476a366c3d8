// Owns what is asked of output_dir without touching what is in it; called by a check and
// before a run.
#include "output_check.hpp"

#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "mtrain/base/error.hpp"

namespace mtrain::train {
namespace {

namespace fs = std::filesystem;

/// The folder itself or the nearest one above it that is there.
fs::path nearest_existing(fs::path path) {
  std::error_code ignored;
  while (!fs::exists(fs::symlink_status(path, ignored)) && path.has_relative_path())
    path = path.parent_path();
  return path;
}

}  // namespace

void require_writable(const fs::path& dir) {
  const fs::path place = nearest_existing(fs::absolute(dir).lexically_normal());
  std::error_code ignored;
  const auto refuse = [&](const std::string& why) {
    throw UserError(cat("output_dir: cannot write to ", dir.string(), ": ", why),
                    "choose a folder you may write to");
  };
  if (!fs::is_directory(place, ignored)) refuse(place.string() + " is not a folder");
  std::string name = (place / ".mtrain-check-XXXXXX").string();
  // What the permissions say is not enough: root may write anywhere but where the file
  // system itself refuses.
  if (!mkdtemp(name.data()))
    refuse(cat(place.string(), ": ", std::generic_category().message(errno)));
  rmdir(name.c_str());
}

void refuse_model_as_output(const config::Deck& deck, const fs::path& dir) {
  const std::string& given = deck.model.model_name_or_path;
  if (given.empty()) return;
  std::error_code fault;
  const auto place = [&](const fs::path& path) {
    return fs::weakly_canonical(fs::absolute(path), fault);
  };
  const fs::path inside = place(given).lexically_relative(place(dir));
  if (fault || inside.empty()) return;
  const bool same = inside == ".";
  const bool removed = deck.checkpoint.overwrite_output_dir &&
                       inside.begin()->string().starts_with("checkpoint-");
  if (!same && !removed) return;
  throw UserError(cat("output_dir: ", dir.string(), same ? " is" : " holds",
                      " the model to start from, ", given),
                  "choose another folder");
}

}  // namespace mtrain::train
