// Files of the fuzz targets, for both drivers.
#include "targets.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace mtrain::test {
namespace {

struct Folder {
  Folder() {
    path = (std::filesystem::temp_directory_path() / "mtrain-fuzz-XXXXXX").string();
    if (::mkdtemp(path.data()) == nullptr) std::abort();
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  std::string path;
};

}  // namespace

const std::string& fuzz_folder() {
  static const Folder folder;
  return folder.path;
}

void overwrite(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

}  // namespace mtrain::test
