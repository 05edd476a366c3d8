// The grammar of JSON in all its dialects, as events.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "mtrain/base/json.hpp"

namespace mtrain {

/// What a text holds, in order.
class JsonEvents {
 public:
  virtual ~JsonEvents() = default;
  virtual void null() = 0;
  virtual void boolean(bool value) = 0;
  virtual void integer(int64_t value) = 0;
  virtual void unsigned_integer(uint64_t value) = 0;  ///< above those of integer()
  virtual void digits(std::string_view text) = 0;     ///< a whole number beyond 64 bits
  virtual void real(double value) = 0;
  virtual void string(std::string& value) = 0;
  virtual void key(std::string& name) = 0;
  virtual void open_object() = 0;
  virtual void open_array() = 0;
  virtual void close() = 0;
};

/// What a dialect takes beyond the grammar.
struct JsonRules {
  bool repeated_keys = false;
  bool non_finite = false;  ///< NaN, Infinity, -Infinity
  bool more_names = false;  ///< -NaN, Inf, -Inf as well
  bool nan_is_null = false;
  bool overflow = false;       ///< 1e999 is infinite
  bool loose_numbers = false;  ///< 007, 5.
  bool raw_controls = false;   ///< in texts, all but NUL
  enum class Wide { kReal, kDigits, kRefused } wide = Wide::kReal;
  bool signed_only = false;  ///< whole numbers beyond int64 are floats
  enum class Half { kRefused, kReplaced, kFirstDropped } half = Half::kRefused;
};
JsonRules json_rules(JsonDialect dialect);

/// Throws UserError "PLACE: what"; without place, what alone.
[[noreturn]] void json_fault(const std::string& place, const std::string& what);

/// Reads all of `text`, which stands at `place`. UserError with line and column where it
/// is malformed.
void read_json(std::string_view text, const std::string& place, const JsonRules& rules,
               JsonEvents& events);

}  // namespace mtrain
