// Values as users write them, and the strict parsers and printers of each key type.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "mtrain/base/text.hpp"
#include "mtrain/config/deck.hpp"

namespace mtrain::config {

/// A value before its key's type is known.
struct RawValue {
  std::string text;                               ///< without quotes
  bool null = false;                              ///< null or ~
  bool quoted = false;                            ///< never read as null or as a list
  std::optional<std::vector<std::string>> items;  ///< a YAML list
};

/// What is wrong with a value, and what would do.
struct Fault {
  std::string rule;
  std::string suggestion;
};

/// The value an INI line or a command line gives: null words, "quoted JSON text" or plain
/// text. A broken quotation sets `fault`.
RawValue raw_from_text(std::string_view text, std::optional<Fault>& fault);

/// The allowed range of a number, or the allowed words of a text.
struct Limits {
  std::optional<double> min, max;
  bool min_open = false, max_open = false;
  std::vector<std::string> words;
  bool may_be_empty = false;  ///< the empty text is allowed besides `words`
};
Limits any_value();
Limits at_least(double min);
Limits above(double min);
Limits between(double min, double max);
Limits from_below(double min, double below);  ///< min <= x < below
Limits above_to(double min, double max);      ///< min < x <= max
/// How large numbers may be that are multiplied with each other: ranks of one kind,
/// samples, micro-batches, tokens, steps. Any product of one of each but the steps fits
/// into 63 bits, and so does a sum of steps.
inline constexpr double kMostSplit = 1 << 16;
inline constexpr double kMostSamples = 1 << 20;
inline constexpr double kMostMicroBatches = 1 << 16;
inline constexpr double kMostTokens = 1 << 30;
inline constexpr double kMostSteps = 1e12;
/// Reals that are computed with in single precision.
inline constexpr double kMostWeight = 1e6;
inline constexpr double kMostSeed = 4294967295.0;
Limits one_of(std::vector<std::string> words);
Limits one_of_or_empty(std::vector<std::string> words);
/// ">= 1", "0 <= x < 1", "a, b or c"; empty for any value.
std::string to_string(const Limits& limits);

// Each parser writes `out` and returns nothing, or returns the fault and leaves `out`
// alone.
std::optional<Fault> parse_integer(const std::string& text, const Limits& limits,
                                   int64_t lowest, int64_t highest, int64_t& out);
std::optional<Fault> parse_real(const std::string& text, const Limits& limits,
                                double& out);
/// DD:HH:MM:SS, also HH:MM:SS and Slurm's D-HH:MM:SS.
std::optional<Fault> parse_duration(const std::string& text, const Limits& limits,
                                    Duration& out);
std::optional<Fault> parse_bool(const std::string& text, bool& out);
/// Index of `text` in `words`.
std::optional<Fault> parse_word(const std::string& text,
                                const std::vector<std::string>& words, size_t& out);

/// The shortest text that parses back to the same double.
std::string real_text(double value);
/// DD:HH:MM:SS.
std::string duration_text(Duration value);
/// Plain, or as quoted JSON where an INI line could not hold it or would read it as null.
std::string quoted_where_needed(const std::string& text);

/// type_name(), parse(raw, limits, out) and text(value) of one key type.
template <class T>
struct ValueType;

/// The single text of a value that is no list; a list of one counts.
std::optional<Fault> single_text(const RawValue& raw, std::string& out);

template <class T>
requires(std::is_same_v<T, int> || std::is_same_v<T, int64_t>) struct ValueType<T> {
  static std::string type_name() { return "int"; }
  static std::optional<Fault> parse(const RawValue& raw, const Limits& limits, T& out) {
    std::string text;
    if (auto fault = single_text(raw, text)) return fault;
    int64_t value = 0;
    auto fault = parse_integer(text, limits, std::numeric_limits<T>::min(),
                               std::numeric_limits<T>::max(), value);
    if (!fault) out = static_cast<T>(value);
    return fault;
  }
  static std::string text(T value) { return std::to_string(value); }
};

template <>
struct ValueType<double> {
  static std::string type_name() { return "float"; }
  static std::optional<Fault> parse(const RawValue& raw, const Limits& limits,
                                    double& out) {
    std::string text;
    if (auto fault = single_text(raw, text)) return fault;
    return parse_real(text, limits, out);
  }
  static std::string text(double value) { return real_text(value); }
};

template <>
struct ValueType<Duration> {
  static std::string type_name() { return "time"; }
  static std::optional<Fault> parse(const RawValue& raw, const Limits& limits,
                                    Duration& out) {
    std::string text;
    if (auto fault = single_text(raw, text)) return fault;
    return parse_duration(text, limits, out);
  }
  static std::string text(Duration value) { return duration_text(value); }
};

template <>
struct ValueType<bool> {
  static std::string type_name() { return "bool"; }
  static std::optional<Fault> parse(const RawValue& raw, const Limits&, bool& out) {
    std::string text;
    if (auto fault = single_text(raw, text)) return fault;
    return parse_bool(text, out);
  }
  static std::string text(bool value) { return value ? "true" : "false"; }
};

template <>
struct ValueType<std::string> {
  static std::string type_name() { return "text"; }
  static std::optional<Fault> parse(const RawValue& raw, const Limits& limits,
                                    std::string& out) {
    std::string text;
    if (auto fault = single_text(raw, text)) return fault;
    size_t index = 0;
    const bool is_free = limits.words.empty() || (text.empty() && limits.may_be_empty);
    if (!is_free) {
      if (auto fault = parse_word(text, limits.words, index)) return fault;
    }
    out = text;
    return {};
  }
  static std::string text(const std::string& value) { return quoted_where_needed(value); }
};

template <class E>
requires std::is_enum_v<E>
struct ValueType<E> {
  static std::string type_name() { return "choice"; }
  static std::vector<std::string> words() {
    return {EnumNames<E>::value.begin(), EnumNames<E>::value.end()};
  }
  static std::optional<Fault> parse(const RawValue& raw, const Limits&, E& out) {
    std::string text;
    if (auto fault = single_text(raw, text)) return fault;
    size_t index = 0;
    auto fault = parse_word(text, words(), index);
    if (!fault) out = static_cast<E>(index);
    return fault;
  }
  static std::string text(E value) { return to_string(value); }
};

template <class T>
struct ValueType<std::optional<T>> {
  static std::string type_name() { return ValueType<T>::type_name() + "|null"; }
  static std::optional<Fault> parse(const RawValue& raw, const Limits& limits,
                                    std::optional<T>& out) {
    constexpr bool kIsText = std::is_same_v<T, std::string>;
    const bool null_word = !kIsText && !raw.quoted && !raw.items &&
                           (raw.text == "none" || raw.text == "None" || raw.text.empty());
    if (raw.null || null_word) {
      out.reset();
      return {};
    }
    T value{};
    auto fault = ValueType<T>::parse(raw, limits, value);
    if (!fault) out = std::move(value);
    return fault;
  }
  static std::string text(const std::optional<T>& value) {
    return value ? ValueType<T>::text(*value) : "null";
  }
};

/// The items of a list: a YAML list, a JSON list, or text split at commas; "" and "none"
/// are the empty list.
std::vector<std::string> list_items(const RawValue& raw);
/// Items joined by commas, or a JSON list where an item itself would not survive that.
std::string list_text(const std::vector<std::string>& items);

template <class T>
struct ValueType<std::vector<T>> {
  static std::string type_name() { return "list"; }
  static std::optional<Fault> parse(const RawValue& raw, const Limits& limits,
                                    std::vector<T>& out) {
    std::vector<T> values;
    for (const std::string& item : list_items(raw)) {
      RawValue one;
      one.text = item;
      one.quoted = true;
      T value{};
      if (item.empty()) return Fault{"has an empty item", "remove the extra comma"};
      if (auto fault = ValueType<T>::parse(one, limits, value)) return fault;
      values.push_back(std::move(value));
    }
    out = std::move(values);
    return {};
  }
  static std::string text(const std::vector<T>& values) {
    std::vector<std::string> items;
    for (const T& value : values) {
      if constexpr (std::is_same_v<T, std::string>) {
        items.push_back(value);
      } else {
        items.push_back(ValueType<T>::text(value));
      }
    }
    return list_text(items);
  }
};

}  // namespace mtrain::config
