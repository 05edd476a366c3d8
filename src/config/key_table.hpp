// Every key of the deck, in the order help, dump and documentation print them.
#pragma once

#include <string>
#include <vector>

#include "key.hpp"

namespace mtrain::config {

struct SectionInfo {
  std::string name;
  std::string title;  ///< one line under the heading
};

const std::vector<SectionInfo>& all_sections();
const std::vector<Key>& all_keys();
/// The key of that name, or null.
const Key* find_key(const std::string& name);

// The declarations, one function per section.
void declare_model(std::vector<Key>& keys);
void declare_parallel(std::vector<Key>& keys);
void declare_kernels(std::vector<Key>& keys);
void declare_moe(std::vector<Key>& keys);
void declare_data(std::vector<Key>& keys);
void declare_train(std::vector<Key>& keys);
void declare_optimizer(std::vector<Key>& keys);
void declare_checkpoint(std::vector<Key>& keys);
void declare_dpo(std::vector<Key>& keys);
void declare_log(std::vector<Key>& keys);

}  // namespace mtrain::config
