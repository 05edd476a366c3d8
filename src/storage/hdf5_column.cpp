// Finds the bytes of elements of a column; called for each sample of a token store.
#include <algorithm>

#include "mtrain/base/error.hpp"
#include "mtrain/storage/hdf5_file.hpp"

namespace mtrain::storage {

bool Hdf5Column::is_complete() const {
  return stored / element_bytes >= size;
}

void Hdf5Column::for_each_stretch(
    int64_t first, int64_t count,
    const std::function<void(int64_t, int64_t)>& visit) const {
  MT_CHECK(0 <= first && 0 <= count && first <= size && count <= size - first,
           "elements ", first, " and ", count, " more of ", size);
  while (count > 0) {
    const int64_t inside = first % chunk, part = std::min(count, chunk - inside);
    const int64_t position = positions.at(static_cast<size_t>(first / chunk));
    visit(position + inside * element_bytes, part * element_bytes);
    first += part;
    count -= part;
  }
}

}  // namespace mtrain::storage
