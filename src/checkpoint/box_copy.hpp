// Moving the elements of a box between row-major arrays and files.
#pragma once

#include <cstdint>
#include <functional>

#include "mtrain/base/file.hpp"
#include "mtrain/parallel/box.hpp"

namespace mtrain::checkpoint {

/// A rectangle of a row-major array: `extent` elements from `offset` in an array `shape`.
struct Region {
  parallel::Shape shape;
  parallel::Shape offset;
  parallel::Shape extent;
};

/// Calls visit(from, to, count) for the longest runs of elements contiguous in both
/// arrays, in ascending order of both; the regions have equal extents. Element indices
/// are flat.
void for_each_run(const Region& from, const Region& to,
                  const std::function<void(int64_t, int64_t, int64_t)>& visit);

/// True when every range of the box lies inside the tensor and all have as many dims.
bool is_inside(const parallel::Box& box);

/// The region of `array` (a box stored row-major) that holds `part`, a box inside it.
Region region_of(const parallel::Box& part, const parallel::Box& array);

/// Copies `part`, covered by both boxes, from the bytes of one to those of the other.
void copy_box(const parallel::Box& part, const parallel::Box& from, const void* from_data,
              const parallel::Box& to, void* to_data, int64_t element_size);

/// As copy_box, the source being the bytes of `file` from `position` on. Reads long runs
/// directly and short ones through a window, so that at most whole rows are read.
void read_box(const parallel::Box& part, const parallel::Box& from, const File& file,
              int64_t position, const parallel::Box& to, void* to_data,
              int64_t element_size);

/// The reverse: writes `part` of the array in memory into the file.
void write_box(const parallel::Box& part, const parallel::Box& from,
               const void* from_data, const parallel::Box& to, const File& file,
               int64_t position, int64_t element_size);

}  // namespace mtrain::checkpoint
