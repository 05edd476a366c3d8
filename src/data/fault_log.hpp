// Malformed records: all are counted, the first ones are shown, then the dataset is
// refused.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mtrain::data {

class FaultLog {
 public:
  /// Record `number` (from 1) of `path` is malformed.
  void add(const std::string& path, int64_t number, std::string_view what);
  int64_t count() const { return count_; }
  /// UserError that lists the first faults, when there are any.
  void throw_if_any() const;

 private:
  int64_t count_ = 0;
  std::vector<std::string> first_;
};

}  // namespace mtrain::data
