// What HF datasets makes of nested values: one type for each place over a whole file.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "mtrain/base/json.hpp"

namespace mtrain::data {

/// Learns the type of one place from all its values, then gives each value that type:
/// objects have the members of all objects at that place, missing ones null; whole
/// numbers are floats where any number is one.
class ArrowSchema {
 public:
  /// Learns from a value. Throws RecordFault when it is of another type than those
  /// before.
  void observe(const OrderedJson& value);
  /// Gives an observed value the type of its place.
  void apply(OrderedJson& value) const;

 private:
  enum class Kind { kNull, kFlag, kInteger, kFloat, kText, kList, kObject };
  static Kind kind_of(const OrderedJson& value);
  ArrowSchema& member(const std::string& name);

  Kind kind_ = Kind::kNull;
  std::unique_ptr<ArrowSchema> items_;
  std::vector<std::pair<std::string, std::unique_ptr<ArrowSchema>>> members_;
};

}  // namespace mtrain::data
