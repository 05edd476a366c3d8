// Event files that TensorBoard reads.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "mtrain/base/journal.hpp"

namespace mtrain::report {

struct Scalar {
  std::string tag;  ///< "train/loss"; TensorBoard groups by what stands before the slash
  double value;
};

/// One event file: records of length, its checksum, a serialised Event, its checksum
/// (TFRecord; the masked CRC-32C and the fields are those of TensorFlow's
/// core/lib/io/record_writer.h and core/util/event.proto).
class TensorBoardWriter {
 public:
  /// A new file in `folder`, which is made. What earlier files there say of later steps
  /// than `done_steps` is void from now on. Throws UserError when it cannot write.
  TensorBoardWriter(const std::filesystem::path& folder, int64_t done_steps);

  /// Written through to the file at once.
  void scalars(int64_t step, const std::vector<Scalar>& scalars);
  /// Tries once more to write what could not be written; the reason where that fails.
  std::string fault() { return file_.fault(); }

 private:
  void event(int64_t step, const std::string& content);

  Journal file_;
};

}  // namespace mtrain::report
