// The operations of mconvert: checkpoints and Hugging Face folders, whole models at a
// time.
#pragma once

#include <string>

#include "mtrain/comm/session.hpp"

namespace mtrain::train {

struct ConvertFlags {
  std::string dtype;           ///< auto, float32 or bfloat16
  std::string max_shard_size;  ///< "5GB", "500MB"
};

/// Writes the newest (or given) checkpoint as a Hugging Face folder. Collective.
/// UserError.
void to_hf(const std::string& checkpoint, const std::string& hf_dir,
           const ConvertFlags& flags, const comm::Session& session);

/// Makes the folder `checkpoint` of a Hugging Face model: weights in their own dtype,
/// step 0. Collective. UserError when it exists already.
void from_hf(const std::string& hf_dir, const std::string& checkpoint,
             const comm::Session& session);

/// Compares every byte under `folder` with its checksum (all checkpoints, and what was
/// exported), names the files and what was not read; UserError lists all faults.
/// Collective.
void verify(const std::string& folder, const comm::Session& session);

/// A table to print.
std::string inspect(const std::string& folder);
/// The same, of the differences. Collective.
std::string diff(const std::string& a, const std::string& b,
                 const comm::Session& session);

}  // namespace mtrain::train
