// A file that grows by records while a program runs, such as a run's log.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "mtrain/base/file.hpp"

namespace mtrain {

/// Appends records. One that cannot be written now, say because the disk is full, is kept
/// and written before the next: nothing is lost as long as that ends before the program
/// does.
class Journal {
 public:
  /// Opens `path` as File::open_to_append() does; throws what that throws.
  explicit Journal(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return file_.path(); }
  /// Writes the record and those before it, or keeps it.
  void add(std::string_view record);
  /// Tries once more to write what was kept; the reason where that fails, else "".
  std::string fault();

 private:
  void write();

  File file_;
  std::string kept_;   ///< what is not in the file yet, from any byte of a record on
  std::string fault_;  ///< why
};

}  // namespace mtrain
