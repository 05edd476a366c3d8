// Typed access to members of JSON objects from elsewhere; every fault names the place.
#pragma once

#include <string>
#include <string_view>

#include "mtrain/base/error.hpp"
#include "mtrain/base/json.hpp"

namespace mtrain::data {

/// A JSON value and where it stands, such as "DIR/tokenizer.json: model.merges[3]".
class JsonField {
 public:
  JsonField(const Json& value, std::string place)
      : value_(value), place_(std::move(place)) {}

  const Json& value() const { return value_; }
  const std::string& place() const { return place_; }
  [[noreturn]] void fault(std::string_view what) const {
    throw UserError(cat(place_, " ", what));
  }

  /// Whether the object has a member `key` that is not null.
  bool has(const char* key) const {
    require_object();
    const auto found = value_.find(key);
    return found != value_.end() && !found->is_null();
  }
  /// Member `key`; a fault when absent.
  JsonField at(const char* key) const {
    require_object();
    const auto found = value_.find(key);
    if (found == value_.end()) fault(cat("has no member '", key, "'"));
    return {*found, join(key)};
  }
  JsonField at(size_t index) const {
    return {value_[index], cat(place_, "[", index, "]")};
  }

  const std::string& string() const {
    if (!value_.is_string()) fault("must be a string");
    return value_.get_ref<const std::string&>();
  }
  const Json& array() const {
    if (!value_.is_array()) fault("must be a list");
    return value_;
  }
  const Json& object() const {
    require_object();
    return value_;
  }
  /// Member `key` as a flag, or `otherwise` where absent or null.
  bool flag(const char* key, bool otherwise) const {
    if (!has(key)) return otherwise;
    const JsonField field = at(key);
    if (!field.value_.is_boolean()) field.fault("must be true or false");
    return field.value_.get<bool>();
  }
  /// An integer in [0, limit).
  int64_t index(int64_t limit) const {
    if (!value_.is_number_integer()) fault("must be a whole number");
    const bool huge = value_.is_number_unsigned() &&
                      value_.get<uint64_t>() >= static_cast<uint64_t>(limit);
    if (huge || value_.get<int64_t>() < 0 || value_.get<int64_t>() >= limit)
      fault(cat("is ", value_.dump(), ", not within 0 and ", limit - 1));
    return value_.get<int64_t>();
  }

 private:
  void require_object() const {
    if (!value_.is_object()) fault("must be an object");
  }
  std::string join(const char* key) const {
    return cat(place_, place_.ends_with(": ") ? "" : ".", key);
  }

  const Json& value_;
  std::string place_;
};

}  // namespace mtrain::data
