// Owns the packing of samples into rows; called by the batch encoder.
#include "packing.hpp"

#include <map>

#include "mtrain/base/error.hpp"

namespace mtrain::data {

std::vector<std::vector<size_t>> pack_rows(const std::vector<int64_t>& lengths,
                                           int64_t capacity) {
  std::map<int64_t, std::vector<size_t>> waiting;
  for (size_t i = 0; i < lengths.size(); ++i) waiting[lengths[i]].push_back(i);
  std::vector<std::vector<size_t>> rows;
  while (!waiting.empty()) {
    std::vector<size_t> row;
    int64_t left = capacity;
    for (auto next = waiting.upper_bound(left); next != waiting.begin();
         next = waiting.upper_bound(left)) {
      --next;
      row.push_back(next->second.back());
      left -= next->first;
      next->second.pop_back();
      if (next->second.empty()) waiting.erase(next);
    }
    MT_CHECK(!row.empty(), "a sample is longer than a row of ", capacity, " tokens");
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace mtrain::data
