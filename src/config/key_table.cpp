// Owns the table of all keys; built once from the declarations, read by everything here.
#include "key_table.hpp"

#include <unordered_map>

namespace mtrain::config {

const std::vector<SectionInfo>& all_sections() {
  static const std::vector<SectionInfo> sections = {
      {"model", "what is trained, and from which weights"},
      {"parallel", "how model, optimizer and batch are split over ranks"},
      {"kernels", "which implementation of an operator runs; never what it computes"},
      {"moe", "mixture-of-experts models only"},
      {"data", "what is trained on (the rules of LLaMA-Factory)"},
      {"train", "stage, batch, length of the run, recomputation"},
      {"optimizer", "AdamW and the learning-rate schedule"},
      {"checkpoint", "where results go and how often they are saved"},
      {"dpo", "preference training only (stage = dpo)"},
      {"log", "what is reported and how often"},
  };
  return sections;
}

const std::vector<Key>& all_keys() {
  static const std::vector<Key> keys = [] {
    std::vector<Key> all;
    declare_model(all);
    declare_parallel(all);
    declare_kernels(all);
    declare_moe(all);
    declare_data(all);
    declare_train(all);
    declare_optimizer(all);
    declare_checkpoint(all);
    declare_dpo(all);
    declare_log(all);
    return all;
  }();
  return keys;
}

const Key* find_key(const std::string& name) {
  static const std::unordered_map<std::string, const Key*> by_name = [] {
    std::unordered_map<std::string, const Key*> keys;
    for (const Key& key : all_keys()) keys.emplace(key.name, &key);
    return keys;
  }();
  const auto found = by_name.find(name);
  return found == by_name.end() ? nullptr : found->second;
}

}  // namespace mtrain::config
