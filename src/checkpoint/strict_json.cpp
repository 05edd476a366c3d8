// Owns the reading of integers from JSON we do not trust; used for safetensors headers,
// indexes and manifests.
#include "strict_json.hpp"

#include "mtrain/base/error.hpp"

namespace mtrain::checkpoint {
int64_t integer(const nlohmann::json& value) {
  const bool fits = value.is_number_unsigned()
                        ? value.get<uint64_t>() <= INT64_MAX
                        : value.is_number_integer() && value.get<int64_t>() >= 0;
  if (!fits)
    throw Error(cat("holds ", value.dump(-1, ' ', true),
                    " where an integer from 0 to 2^63 - 1 is due"));
  return value.get<int64_t>();
}

std::vector<int64_t> integer_list(const nlohmann::json& value) {
  if (!value.is_array()) throw Error("is not a list");
  std::vector<int64_t> numbers;
  for (const auto& item : value) numbers.push_back(integer(item));
  return numbers;
}

}  // namespace mtrain::checkpoint
