// Names known from LLaMA-Factory, its trainer's base class and Megatron-LM that are no
// keys here.
#pragma once

#include <string>
#include <vector>

namespace mtrain::config {

struct NameGroup {
  enum class Effect {
    kRefused,   ///< the user would get something else than asked for
    kNoEffect,  ///< nothing to do here: one warning line
  };
  Effect effect;
  std::string names;     ///< separated by spaces
  std::string harmless;  ///< values of refused names that ask for nothing, by spaces
  std::string reason;    ///< why, and what to write instead
};

const std::vector<NameGroup>& all_name_groups();
/// The group that holds `name`, or null.
const NameGroup* find_name_group(const std::string& name);
/// Whether `text` switches the name off: false, null, none, 0 or a value listed as
/// harmless.
bool asks_for_nothing(const NameGroup& group, const std::string& text);

/// The names of arguments of one reference, whatever becomes of them here.
struct ReferenceNames {
  std::string version;  ///< "LLaMA-Factory 0.9.5"
  std::string names;    ///< separated by spaces
};
const std::vector<ReferenceNames>& all_reference_names();
/// The version of the reference that has `name`, or "".
std::string reference_of(const std::string& name);
/// "LLaMA-Factory 0.9.5, mcore_adapter 0.10 ...": whose names are known.
std::string known_versions();

/// Whether only mtrain has the key of that name.
bool is_own(const std::string& key);

// The table, by where the names come from.
void add_reference_names(std::vector<NameGroup>& groups);
void add_trainer_names(std::vector<NameGroup>& groups);
void add_megatron_names(std::vector<NameGroup>& groups);

}  // namespace mtrain::config
