// Owns the cutting of records into batches and parts; called by the preparation and the
// part encoder.
#include "batch_cut.hpp"

#include <algorithm>

#include "batch_encoder.hpp"
#include "mtrain/base/error.hpp"

namespace mtrain::data {

BatchCut::BatchCut(int64_t rows, int64_t workers, int64_t batch)
    : rows_(rows), workers_(std::clamp<int64_t>(workers, 1, rows)), batch_(batch) {
  MT_CHECK(rows > 0 && batch > 0, rows, " rows in batches of ", batch);
}

int64_t BatchCut::end_of_batch(int64_t row) const {
  const int64_t share = rows_ / workers_, longer = rows_ % workers_;
  const int64_t end_of_longer = longer * (share + 1);
  const bool in_longer = row < end_of_longer;
  const int64_t size = in_longer ? share + 1 : share;
  const int64_t base = in_longer ? 0 : end_of_longer;
  const int64_t begin = base + (row - base) / size * size;
  const int64_t left = begin + size - row;  // of the worker's run, from this row on
  return row + std::min(left, batch_ - (row - begin) % batch_);
}

std::vector<int64_t> BatchCut::parts(int64_t wanted) const {
  std::vector<int64_t> begins;
  for (int64_t row = 0; row < rows_;) {
    begins.push_back(row);
    while (row < rows_ && row - begins.back() < wanted) row = end_of_batch(row);
  }
  return begins;
}

BatchCut batch_cut(const PrepareOptions& options, int64_t rows) {
  return {rows, encodes_together(options) ? options.preprocessing_num_workers : 1,
          options.preprocessing_batch_size};
}

}  // namespace mtrain::data
