// What is in a folder of weights, and how two differ: rows for mconvert to print.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "mtrain/checkpoint/tensor_source.hpp"
#include "mtrain/checkpoint/training_checkpoint.hpp"

namespace mtrain::checkpoint {

/// One line per tensor (name, shape, dtype, bytes) and a total, as aligned text.
std::string tensor_table(const TensorSource& source);

/// Step, data cursor, layout, groups with counts and sizes, then the table of the
/// weights.
std::string checkpoint_summary(const CheckpointReader& reader);

/// The text for `mconvert inspect FOLDER`, for a checkpoint or a Hugging Face folder.
std::string inspect(const std::filesystem::path& folder);

/// "HDF5 1.10.8, safe for threads".
std::string hdf5_library();

struct DiffRow {
  std::string tensor;
  enum class Kind { kEqual, kDiffers, kOnlyInA, kOnlyInB, kShapesDiffer } kind;
  double max_abs;     ///< largest |a - b| in double; infinity where only one is NaN
  double max_abs_a;   ///< largest |a|, for a relative view
  int64_t differing;  ///< elements that are not equal (two NaNs are equal)
};

/// One row per tensor of either source, sorted by name; rank `part` of `parts` has every
/// parts-th of them. Dtypes may differ: values are compared. Memory is bounded by
/// `chunk_bytes` per source.
std::vector<DiffRow> diff(const TensorSource& a, const TensorSource& b,
                          int64_t chunk_bytes, int part, int parts);

/// A rank's rows as the text ranks exchange, and the rows of all ranks, sorted by name.
std::string rows_text(const std::vector<DiffRow>& rows);
std::vector<DiffRow> rows_of_texts(const std::vector<std::string>& texts);

/// Aligned text of the rows that are not equal, and a count of those that are.
std::string diff_table(const std::vector<DiffRow>& rows);

}  // namespace mtrain::checkpoint
