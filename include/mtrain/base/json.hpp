// JSON from files we did not write: bounded depth, valid UTF-8, and of what JSON leaves
// open just what the reader of the reference takes.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace mtrain {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;  ///< keeps the order of keys, as Python does

inline constexpr size_t kMaxJsonDepth = 64;

/// Whose reader is followed where JSON's grammar is bent. In all, a whole number beyond
/// 64 bits is a float unless said otherwise.
enum class JsonDialect {
  kStrict,  ///< the grammar alone; a key given twice is refused
  /// Python's json.load, for settings: NaN, Infinity, -Infinity; numbers too large are
  /// infinite; of a key given twice the last value counts, at the place of the first;
  /// half a surrogate pair, which UTF-8 can't hold, becomes U+FFFD.
  kPython,
  /// Python's json.loads, for what is written into a text again: as above, but whole
  /// numbers beyond 64 bits keep their digits, as a binary value, and half a surrogate
  /// pair is refused, since it has no tokens.
  kPythonText,
  kArrow,  ///< pyarrow.json (HF datasets, JSON Lines): NaN, Inf, Infinity, signs
  /// pandas.read_json (HF datasets, JSON lists): NaN is null, Infinity; numbers such as
  /// 007 and 5.; raw control characters in texts; keys given twice as in Python; the
  /// first half of a surrogate pair is dropped.
  kPandas,
};

/// The value of one JSON text. UserError "PLACE: why", where `place` is for instance a
/// file name; where `place` is empty, the message is the reason alone.
Json parse_json(std::string_view text, const std::string& place);
Json parse_json(std::string_view text, const std::string& place, JsonDialect dialect);
OrderedJson parse_ordered_json(std::string_view text, const std::string& place,
                               JsonDialect dialect);

/// Whether parse_json() would take the text.
bool accepts_json(std::string_view text, JsonDialect dialect);

}  // namespace mtrain
