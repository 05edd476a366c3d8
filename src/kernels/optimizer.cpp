// Owns AdamW and the sum of squares over segments: checks, then picks the device's loops.
// Called by parallel's distributed optimizer.
#include "mtrain/kernels/optimizer.hpp"

#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>

#include <algorithm>

#include "adamw_scalars.hpp"
#include "device.hpp"

namespace mtrain::kernels {
namespace {

int64_t last_element(const SegmentTable& table, int64_t Segment::*begin) {
  int64_t last = 0;
  for (const Segment& s : table.segments()) last = std::max(last, s.*begin + s.length);
  return last;
}

void check_flat(const at::Tensor& flat, const SegmentTable& table, const char* what) {
  const int64_t needed = last_element(table, &Segment::flat);
  MT_CHECK(flat.dim() == 1 && flat.is_contiguous() && needed <= flat.numel(), what,
           " of shape ", flat.sizes(), ", segments end at ", needed);
}

at::Tensor pieces_of(const std::vector<Segment>& segments, at::Device device) {
  std::vector<int64_t> rows;
  for (const Segment& s : segments) {
    for (int64_t at = 0; at < s.length; at += SegmentTable::kPiece) {
      rows.insert(rows.end(),
                  {s.state + at, s.flat + at,
                   std::min(SegmentTable::kPiece, s.length - at), s.decay ? 1 : 0});
    }
  }
  return at::tensor(rows).view({-1, 4}).to(device);
}

}  // namespace

SegmentTable::SegmentTable(std::vector<Segment> segments, at::Device device)
    : segments_(std::move(segments)) {
  std::erase_if(segments_, [](const Segment& s) { return s.length == 0; });
  int64_t reached = 0;
  for (const Segment& s : segments_) {
    MT_CHECK(reached <= s.state && s.flat >= 0 && s.length > 0, "segment of ", s.length,
             " elements from ", s.state, " (flat ", s.flat, ") after ", reached);
    reached = s.state + s.length;
  }
  if (!device.is_cpu()) pieces_ = pieces_of(segments_, device);
}

at::Tensor adamw_scalars(const AdamW& options, const at::Tensor& totals,
                         at::Tensor& updates) {
  require(totals, at::kDouble, {2}, "adamw: totals");
  require(updates, at::kLong, {1}, "adamw: updates");
  at::Tensor scalars = at::empty({kAdamWScalars}, totals.options());
  MT_LOOPS(totals, adamw_scalars)(options, totals, updates, scalars);
  return scalars;
}

void adamw_update(const at::Tensor& scalars, AdamWState& state, const at::Tensor& grads,
                  at::Tensor& weights, const SegmentTable& segments) {
  require(scalars, at::kDouble, {kAdamWScalars}, "adamw: scalars");
  check_flat(grads, segments, "adamw: grads");
  check_flat(weights, segments, "adamw: weights");
  require(grads, at::kFloat, {-1}, "adamw: grads");
  const at::ScalarType dtype = require_activation(weights, "adamw: weights");
  MT_CHECK(state.master.defined() != (dtype == at::kFloat),
           "adamw: fp32 weights are their own master copy, others need one");
  const int64_t owned = last_element(segments, &Segment::state);
  for (const at::Tensor& x : {state.master, state.exp_avg, state.exp_avg_sq}) {
    if (!x.defined()) continue;
    require(x, at::kFloat, {-1}, "adamw: state");
    MT_CHECK(owned <= x.numel(), "adamw: state of ", x.numel(), ", segments end at ",
             owned);
  }
  MT_LOOPS(grads, adamw_update)(scalars, state, grads, weights, segments);
}

at::Tensor sum_of_squares(const at::Tensor& grads, const SegmentTable& segments) {
  require(grads, at::kFloat, {-1}, "sum_of_squares: grads");
  check_flat(grads, segments, "sum_of_squares: grads");
  at::Tensor sum = at::empty({1}, grads.options().dtype(at::kDouble));
  MT_LOOPS(grads, sum_of_squares)(grads, segments, sum);
  return sum;
}

}  // namespace mtrain::kernels
