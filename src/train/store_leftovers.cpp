// Finds unfinished token stores by name; called before a run or mprep makes its own.
#include "store_leftovers.hpp"

#include <algorithm>
#include <vector>

#include "mtrain/base/error.hpp"
#include "token_stores.hpp"

namespace mtrain::train {
namespace {

namespace fs = std::filesystem;

/// NAME.tmp.PID, as the writer of token stores names what it has not finished.
bool is_unfinished(const std::string& file, const std::string& store) {
  const std::string prefix = store + ".tmp.";
  return file.size() > prefix.size() && file.starts_with(prefix) &&
         std::all_of(file.begin() + static_cast<std::ptrdiff_t>(prefix.size()),
                     file.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

void remove_store_leftovers(const fs::path& path) {
  const std::string store = path.filename();
  const std::string eval = fs::path(eval_store_path(path)).filename();
  const fs::path folder = path.has_parent_path() ? path.parent_path() : ".";
  std::vector<fs::path> leftovers;
  std::error_code fault;
  for (fs::directory_iterator at(folder, fault), end; !fault && at != end;
       at.increment(fault)) {
    const std::string name = at->path().filename();
    if (at->is_regular_file() && !at->is_symlink() &&
        (is_unfinished(name, store) || is_unfinished(name, eval)))
      leftovers.push_back(at->path());
  }
  for (const fs::path& leftover : leftovers) {
    fs::remove(leftover, fault);
    if (fault)
      throw UserError(cat("cannot remove ", leftover.string(), ": ", fault.message()),
                      "remove it by hand: a process that was killed left it");
  }
}

}  // namespace mtrain::train
