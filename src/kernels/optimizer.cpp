// Owns AdamW and the sum of squares over flat ranges: checks, then picks the device's
// loops. Called by parallel's distributed optimizer.
#include "mtrain/kernels/optimizer.hpp"

#include <ATen/ops/empty.h>

#include "checks.hpp"
#include "cpu/ops.hpp"

namespace mtrain::kernels {

void adamw_update(const AdamW& options, at::Tensor& master, at::Tensor& m, at::Tensor& v,
                  const at::Tensor& grad, at::Tensor& weight,
                  const std::vector<Segment>& segments) {
  const int64_t length = master.numel();
  for (const at::Tensor& x : {master, m, v, grad})
    require(x, at::kFloat, {length}, "adamw: master, m, v, grad");
  require(weight, require_activation(weight, "adamw: weight"), {length}, "adamw: weight");
  MT_CHECK(options.step >= 1, "adamw: step ", options.step, " (counts from 1)");
  int64_t reached = 0;
  for (const Segment& segment : segments) {
    MT_CHECK(
        reached <= segment.begin && segment.begin <= segment.end && segment.end <= length,
        "adamw: segment [", segment.begin, ", ", segment.end, ") after ", reached,
        " in a range of ", length);
    reached = segment.end;
  }
  require_cpu(master, "adamw_update");
  cpu::adamw_update(options, master, m, v, grad, weight, segments);
}

at::Tensor sum_of_squares(const at::Tensor& flat) {
  require(flat, at::kFloat, {-1}, "sum_of_squares: range");
  require_cpu(flat, "sum_of_squares");
  at::Tensor sum = at::empty({1}, flat.options().dtype(at::kDouble));
  cpu::sum_of_squares(flat, sum);
  return sum;
}

}  // namespace mtrain::kernels
