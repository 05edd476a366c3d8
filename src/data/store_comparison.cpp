// Owns the question whether a store is what its inputs would make now; called before data
// are prepared, and by the trainer for stores it was given.
#include <filesystem>

#include "mtrain/base/error.hpp"
#include "mtrain/base/file.hpp"
#include "mtrain/data/token_store.hpp"
#include "prepare_rules.hpp"
#include "store_settings.hpp"

namespace mtrain::data {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kHdf5Signature = "\x89HDF\r\n\x1a\n";

// What begins so was a store once: damaged, it may be made anew.
bool begins_as_store(const std::string& path) {
  std::string start(kHdf5Signature.size(), '\0');
  const File file = File::open_input(path);
  if (file.size() < std::ssize(start)) return false;
  file.read_at(0, start.data(), start.size());
  return start == kHdf5Signature;
}

std::string reason_to_make(const std::string& path, const PrepareOptions& options) {
  if (!fs::exists(path)) return cat(path, " is not there");
  try {
    const TokenStoreReader store(path);
    const auto settings = store_settings(options);
    const StoreAttributes& made = store.attributes();
    if (made.source_hash != hash_of(settings))
      return made.settings.empty()
                 ? cat(path, " does not say what it was made from")
                 : cat(path, " was made from something else:\n  ",
                       join(differences(made.settings, settings), "\n  "));
    store.scan();
    return "";
  } catch (const UserError& error) {
    if (!begins_as_store(path)) throw;
    return error.what();
  }
}

}  // namespace

std::string reason_to_prepare(const PrepareOptions& options) {
  check_options(options);
  const std::string training = reason_to_make(options.output_path, options);
  if (!training.empty()) return training;
  if (options.val_size <= 0 && options.eval_dataset.empty()) return "";
  return reason_to_make(options.eval_output_path, evaluation_options(options));
}

std::string source_hash(const PrepareOptions& options) {
  return hash_of(store_settings(options));
}

StoreComparison compare_store(const std::string& path, const PrepareOptions& options) {
  const std::string stored = TokenStoreReader(path).attributes().settings;
  if (stored.empty()) return {false, {}, {}};
  StoreComparison result{true, differences(stored, deck_settings(options)), {}};
  for (const auto read : {tokenizer_settings, dataset_settings}) {
    try {
      const auto found = differences(stored, read(options));
      result.differences.insert(result.differences.end(), found.begin(), found.end());
    } catch (const UserError& error) {
      result.unread.push_back(error.what());
    }
  }
  return result;
}

}  // namespace mtrain::data
