// Fences around nlohmann-json; used for safetensors headers, indexes and manifests.
#include "strict_json.hpp"

#include <set>
#include <vector>

#include "mtrain/base/error.hpp"

namespace mtrain::checkpoint {
namespace {

constexpr size_t kMaxDepth = 64;

/// Watches the parser's events; one set of keys per open object or array.
class Fence {
 public:
  explicit Fence(const std::string& what) : what_(what) {}

  void event(nlohmann::json::parse_event_t event, const nlohmann::json& value) {
    using Event = nlohmann::json::parse_event_t;
    if (event == Event::object_start || event == Event::array_start) open();
    if (event == Event::object_end || event == Event::array_end) keys_.pop_back();
    if (event == Event::key) add(value.get_ref<const std::string&>());
  }

 private:
  void open() {
    if (keys_.size() == kMaxDepth)
      throw UserError(cat(what_, " is nested deeper than ", kMaxDepth, " levels"));
    keys_.emplace_back();
  }
  void add(const std::string& key) {
    if (!keys_.back().insert(key).second)
      throw UserError(cat(what_, " has the key \"", key, "\" twice"));
  }

  const std::string& what_;
  std::vector<std::set<std::string>> keys_;
};

}  // namespace

nlohmann::json parse_strict(std::string_view text, const std::string& what) {
  Fence fence(what);
  const auto watch = [&](int, nlohmann::json::parse_event_t event,
                         nlohmann::json& value) {
    fence.event(event, value);
    return true;
  };
  try {
    return nlohmann::json::parse(text, watch);
  } catch (const nlohmann::json::exception& fault) {
    throw UserError(cat(what, " is not valid JSON: ", fault.what()));
  }
}

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
