// Compares the deck of a start with that of a checkpoint; called when the checkpoint to
// go on from is chosen.
#include "same_run.hpp"

#include <filesystem>

#include "mtrain/config/parse.hpp"

namespace mtrain::train {
namespace {

namespace fs = std::filesystem;

fs::path place(const std::string& path) {
  std::error_code fault;
  const fs::path full = fs::weakly_canonical(fs::absolute(path), fault);
  const fs::path result = fault ? fs::path(path) : full;
  return result.has_filename() ? result : result.parent_path();
}

bool same_data(const config::Data& a, const config::Data& b) {
  if (!a.dataset.empty() && !b.dataset.empty()) return a.dataset == b.dataset;
  // Of a store the deck need not tell what it was made from.
  return a.tokenized_path.empty() || b.tokenized_path.empty() ||
         same_path(a.tokenized_path, b.tokenized_path);
}

}  // namespace

bool same_path(const std::string& a, const std::string& b) {
  if (a.empty() || b.empty()) return a == b;
  return a == b || place(a) == place(b);
}

bool same_run(const config::Deck& a, const config::Deck& b) {
  return a.train.stage == b.train.stage &&
         a.train.finetuning_type == b.train.finetuning_type &&
         same_path(a.model.model_name_or_path, b.model.model_name_or_path) &&
         same_path(a.model.model_config, b.model.model_config) &&
         same_data(a.data, b.data);
}

}  // namespace mtrain::train
