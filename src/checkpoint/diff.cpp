// Compares two sources tensor by tensor in bounded memory; called by mconvert diff.
#include <ATen/ATen.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <set>

#include "dtype.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/base/json.hpp"
#include "mtrain/checkpoint/convert.hpp"
#include "mtrain/checkpoint/inspect.hpp"

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

/// JSON has no infinity; bits pass through unchanged.
uint64_t bits_of(double value) {
  return std::bit_cast<uint64_t>(value);
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
                          int64_t chunk_bytes, int part, int parts) {
  std::set<std::string> names;
  for (const TensorSource* source : {&a, &b})
    for (const TensorInfo& info : source->tensors()) names.insert(info.name);
  std::vector<DiffRow> rows;
  int number = 0;
  for (const std::string& name : names)
    if (number++ % parts == part) rows.push_back(compare_tensor(a, b, name, chunk_bytes));
  return rows;
}

std::string rows_text(const std::vector<DiffRow>& rows) {
  nlohmann::json all = nlohmann::json::array();
  for (const DiffRow& row : rows)
    all.push_back({row.tensor, static_cast<int>(row.kind), bits_of(row.max_abs),
                   bits_of(row.max_abs_a), row.differing});
  return all.dump();
}

std::vector<DiffRow> rows_of_texts(const std::vector<std::string>& texts) {
  std::vector<DiffRow> rows;
  for (const std::string& text : texts)
    for (const auto& row : parse_json(text, "rows of a rank"))
      rows.push_back(
          {row.at(0).get<std::string>(), static_cast<DiffRow::Kind>(row.at(1).get<int>()),
           std::bit_cast<double>(row.at(2).get<uint64_t>()),
           std::bit_cast<double>(row.at(3).get<uint64_t>()), row.at(4).get<int64_t>()});
  std::ranges::sort(rows, {}, &DiffRow::tensor);
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
