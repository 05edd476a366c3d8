// Turns flat ranges of a local parameter into boxes, for the optimizer's shards and
// checkpoints.
#include "mtrain/parallel/param.hpp"

#include <ATen/ops/zero.h>

#include <algorithm>

namespace mtrain::parallel {
namespace {

/// Appends the boxes of flat elements [begin, end) of `box`, whose element 0 is local
/// `at`.
void append_range(const Box& box, size_t dim, int64_t at, int64_t begin, int64_t end,
                  std::vector<LocalBox>& out) {
  if (begin >= end) return;
  int64_t row = 1;
  for (size_t d = dim + 1; d < box.extent.size(); ++d) row *= box.extent[d];
  const auto rows = [&](int64_t first, int64_t count) {
    Box part = box;
    part.offset[dim] += first;
    part.extent[dim] = count;
    return part;
  };
  if (dim + 1 == box.extent.size()) {
    out.push_back({at + begin, rows(begin, end - begin)});
    return;
  }
  const auto partial_row = [&](int64_t index, int64_t from, int64_t to) {
    append_range(rows(index, 1), dim + 1, at + index * row, from, to, out);
  };
  const int64_t first = begin / row, last = end / row;
  if (first == last) return partial_row(first, begin % row, end % row);
  const int64_t whole_begin = begin % row == 0 ? first : first + 1;
  if (whole_begin > first) partial_row(first, begin % row, row);
  if (last > whole_begin) {
    out.push_back({at + whole_begin * row, rows(whole_begin, last - whole_begin)});
  }
  if (end % row != 0) partial_row(last, 0, end % row);
}

}  // namespace

at::Tensor& Parameter::grad_to_add_to() {
  if (grad_is_stale) grad.zero_();
  grad_is_stale = false;
  return grad;
}

std::vector<LocalBox> boxes_of_range(const ParamSpec& spec, int64_t begin, int64_t end) {
  std::vector<LocalBox> result;
  for (const auto& [at, box] : spec.boxes) {
    const int64_t from = std::max(begin, at), to = std::min(end, at + box.size());
    append_range(box, 0, at, from - at, to - at, result);
  }
  return result;
}

}  // namespace mtrain::parallel
