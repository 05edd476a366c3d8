// Whether the files of a run are still the bytes that were written.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace mtrain::checkpoint {

/// A checkpoint, or an exported model, of which every byte was read.
struct VerifiedFolder {
  std::string folder;
  std::vector<std::string> files;   ///< read and compared
  std::vector<std::string> faults;  ///< found by this part, a line each
};

struct Verification {
  std::vector<VerifiedFolder> folders;
  std::vector<std::string> unread;  ///< paths that no checksum vouches for
};

/// Reads everything under `folder` that has checksums: the checkpoint it is, or all
/// checkpoints in it, the models exported into them, and the one exported into the folder
/// itself. Part `part` of `parts` compares its share of the bytes; the lists of files are
/// the same for each. Throws UserError where `folder` cannot be listed.
Verification verify_folder(const std::filesystem::path& folder, int part, int parts);

}  // namespace mtrain::checkpoint
