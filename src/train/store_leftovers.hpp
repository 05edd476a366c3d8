// What a process that was killed while it made a token store left beside it.
#pragma once

#include <filesystem>

namespace mtrain::train {

/// Removes unfinished files of the token store `path` and of the evaluation store beside
/// it: of processes that are gone, since one at a time owns the store. Its encoded parts
/// stay: the next preparation goes on with them.
void remove_store_leftovers(const std::filesystem::path& path);

}  // namespace mtrain::train
