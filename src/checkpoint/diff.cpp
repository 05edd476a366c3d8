// Compares two sources tensor by tensor in bounded memory; called by mconvert diff.
#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "dtype.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/checkpoint/convert.hpp"
#include "mtrain/checkpoint/inspect.hpp"
#include "table.hpp"

namespace mtrain::checkpoint {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Adds one chunk's elements, both as doubles, to the row.
void compare(const at::Tensor& a, const at::Tensor& b, DiffRow& row) {
  const double* left = a.const_data_ptr<double>();
  const double* right = b.const_data_ptr<double>();
  for (int64_t i = 0; i < a.numel(); ++i) {
    const bool nan_a = std::isnan(left[i]), nan_b = std::isnan(right[i]);
    if (!nan_a) row.max_abs_a = std::max(row.max_abs_a, std::abs(left[i]));
    if (left[i] == right[i] || (nan_a && nan_b)) continue;
    ++row.differing;
    const double distance = std::abs(left[i] - right[i]);
    row.max_abs = std::max(row.max_abs, std::isnan(distance) ? kInfinity : distance);
  }
}

DiffRow compare_tensor(const TensorSource& a, const TensorSource& b,
                       const std::string& name, int64_t chunk_bytes) {
  using Kind = DiffRow::Kind;
  const TensorInfo *left = a.find(name), *right = b.find(name);
  DiffRow row{name, Kind::kEqual, 0, 0, 0};
  if (!left || !right) {
    row.kind = left ? Kind::kOnlyInA : Kind::kOnlyInB;
  } else if (left->shape != right->shape) {
    row.kind = Kind::kShapesDiffer;
  } else {
    const auto elements = std::max<int64_t>(1, chunk_bytes / int64_t{sizeof(double)});
    for (const parallel::Box& chunk : chunks_of(*left, elements))
      compare(a.read(chunk).to(at::kDouble), b.read(chunk).to(at::kDouble), row);
    if (row.differing > 0) row.kind = Kind::kDiffers;
  }
  return row;
}

std::string kind_text(DiffRow::Kind kind) {
  switch (kind) {
    case DiffRow::Kind::kEqual:
      return "equal";
    case DiffRow::Kind::kDiffers:
      return "differs";
    case DiffRow::Kind::kOnlyInA:
      return "only in A";
    case DiffRow::Kind::kOnlyInB:
      return "only in B";
    case DiffRow::Kind::kShapesDiffer:
      return "shapes differ";
  }
  return "";
}

}  // namespace

std::vector<DiffRow> diff(const TensorSource& a, const TensorSource& b,
                          int64_t chunk_bytes) {
  std::set<std::string> names;
  for (const TensorSource* source : {&a, &b})
    for (const TensorInfo& info : source->tensors()) names.insert(info.name);
  std::vector<DiffRow> rows;
  for (const std::string& name : names)
    rows.push_back(compare_tensor(a, b, name, chunk_bytes));
  return rows;
}

std::string diff_table(const std::vector<DiffRow>& rows) {
  std::vector<std::vector<std::string>> cells = {
      {"tensor", "result", "max |a-b|", "max |a|", "differing"}};
  for (const DiffRow& row : rows) {
    if (row.kind == DiffRow::Kind::kEqual) continue;
    cells.push_back({row.tensor, kind_text(row.kind)});
    if (row.kind == DiffRow::Kind::kDiffers)
      for (const std::string& cell :
           {cat(row.max_abs), cat(row.max_abs_a), cat(row.differing)})
        cells.back().push_back(cell);
  }
  const size_t unequal = cells.size() - 1;
  return cat(unequal > 0 ? aligned(cells) : std::string(), rows.size() - unequal, " of ",
             rows.size(), " tensors are equal\n");
}

}  // namespace mtrain::checkpoint
