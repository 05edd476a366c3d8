// Which records are encoded together.
#pragma once

#include <cstdint>
#include <vector>

#include "mtrain/data/prepare.hpp"

namespace mtrain::data {

/// The batches of a run of records. The reference's workers (preprocessing_num_workers)
/// each take a run of records and cut it into batches by themselves; with `rows` = 10 and
/// 3 workers the runs are 4, 3 and 3 long (HF datasets, Dataset.shard, contiguous).
class BatchCut {
 public:
  /// Any numbers from 1 on; more workers than rows are as many as rows.
  BatchCut(int64_t rows, int64_t workers, int64_t batch);

  int64_t rows() const { return rows_; }
  /// One past the last row of the batch that holds `row`.
  int64_t end_of_batch(int64_t row) const;
  /// Where parts of at least `wanted` rows (but the last) in whole batches begin.
  std::vector<int64_t> parts(int64_t wanted) const;

 private:
  int64_t rows_, workers_, batch_;
};

/// The cut of `rows` records that these options ask for: workers count only where it
/// matters what is encoded together.
BatchCut batch_cut(const PrepareOptions& options, int64_t rows);

}  // namespace mtrain::data
