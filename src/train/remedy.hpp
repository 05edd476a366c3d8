// A remedy for faults of files: the layers that read them do not know the deck's keys.
#pragma once

#include <string>

#include "mtrain/base/error.hpp"

namespace mtrain::train {

/// The result of `read`; a user fault it throws without a remedy gets this one.
template <class Read>
auto with_remedy(const std::string& remedy, Read&& read) {
  try {
    return read();
  } catch (const UserError& error) {
    if (!error.remedy().empty()) throw;
    throw UserError(error.what(), remedy);
  }
}

inline constexpr char kModelRemedy[] =
    "give a folder with all files of one Hugging Face model";
inline constexpr char kCheckpointRemedy[] =
    "use another checkpoint (resume_from_checkpoint = FOLDER), or restore this one";
inline constexpr char kDataRemedy[] =
    "check dataset, dataset_dir and the tokenizer files beside config.json";

}  // namespace mtrain::train
