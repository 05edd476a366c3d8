// Owns the CPU loop that fills a box with normal numbers. Called by kernels/random.cpp.
#include "loops.hpp"
#include "mtrain/base/rng.hpp"
#include "ops.hpp"

namespace mtrain::kernels::cpu {

void normal_fill_(Tensor& out, uint64_t seed, std::string_view name, const NormalBox& box,
                  double stddev) {
  const float scale = static_cast<float>(stddev);
  with_type(out.scalar_type(), [&](auto type) {
    using T = decltype(type);
    over_rows(box.rows, box.columns, [&](int64_t begin, int64_t end) {
      std::vector<float> row(box.columns);
      for (int64_t r = begin; r < end; ++r) {
        normal_stream(seed, name, box.first + r * box.full_columns, box.columns,
                      row.data());
        T* to = data<T>(out) + r * box.columns;
        for (int64_t c = 0; c < box.columns; ++c) to[c] = rounded<T>(row[c] * scale);
      }
    });
  });
}

}  // namespace mtrain::kernels::cpu
