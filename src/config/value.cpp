// Owns strict parsing and printing of single values; called through ValueType by every
// key.
#include "value.hpp"

#include <charconv>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace mtrain::config {

namespace {

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return text;
}

/// from_chars over the whole text, with the leading '+' it does not know.
template <class T>
std::errc convert(std::string_view text, T& out) {
  if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc()) return error;
  return end == text.data() + text.size() ? std::errc() : std::errc::invalid_argument;
}

/// The value nearest to `value` inside the limits; `step` is how far open ends are kept
/// away.
double clamp_to(const Limits& limits, double value, double step) {
  if (limits.min && (value < *limits.min || (limits.min_open && value == *limits.min))) {
    return *limits.min + (limits.min_open ? step : 0);
  }
  if (limits.max && (value > *limits.max || (limits.max_open && value == *limits.max))) {
    return *limits.max - (limits.max_open ? step : 0);
  }
  return value;
}

/// Whether an INI line would lose part of the text: '#' and control characters.
bool has_marks(const std::string& text) {
  for (const char c : text) {
    if (c == '#' || static_cast<unsigned char>(c) < 0x20) return true;
  }
  return false;
}

/// JSON in one line. Boost cuts a line at '#', even inside quotes, so it becomes an
/// escape.
std::string json_line(const nlohmann::json& json) {
  const auto policy = nlohmann::json::error_handler_t::replace;
  std::string out;
  for (const char c : json.dump(-1, ' ', false, policy)) {
    out += c == '#' ? std::string("\\u0023") : std::string(1, c);
  }
  return out;
}

}  // namespace

RawValue raw_from_text(std::string_view text, std::optional<Fault>& fault) {
  text = trim(text);
  RawValue raw;
  if (!text.empty() && text.front() == '"') {
    const auto json = nlohmann::json::parse(text, nullptr, false);
    raw.quoted = true;
    if (json.is_string()) {
      raw.text = json.get<std::string>();
    } else {
      fault = Fault{"is not a well-formed quoted text (JSON rules)",
                    R"(close it, escape inner quotes as \", and write # as \u0023)"};
    }
    return raw;
  }
  raw.text = std::string(text);
  raw.null = text == "null" || text == "~";
  return raw;
}

Limits any_value() {
  return {};
}
Limits at_least(double min) {
  return {.min = min, .max = {}, .words = {}};
}
Limits above(double min) {
  return {.min = min, .max = {}, .min_open = true, .words = {}};
}
Limits between(double min, double max) {
  return {.min = min, .max = max, .words = {}};
}
Limits from_below(double min, double below) {
  return {.min = min, .max = below, .max_open = true, .words = {}};
}
Limits above_to(double min, double max) {
  return {.min = min, .max = max, .min_open = true, .words = {}};
}
Limits one_of(std::vector<std::string> words) {
  return {.min = {}, .max = {}, .words = std::move(words)};
}
Limits one_of_or_empty(std::vector<std::string> words) {
  Limits limits = one_of(std::move(words));
  limits.may_be_empty = true;
  return limits;
}

std::string to_string(const Limits& limits) {
  if (!limits.words.empty()) return join(limits.words, ", ");
  if (limits.min && limits.max) {
    return cat(real_text(*limits.min), limits.min_open ? " < x" : " <= x",
               limits.max_open ? " < " : " <= ", real_text(*limits.max));
  }
  if (limits.min) return cat(limits.min_open ? "> " : ">= ", real_text(*limits.min));
  return {};
}

std::optional<Fault> parse_integer(const std::string& text, const Limits& limits,
                                   int64_t lowest, int64_t highest, int64_t& out) {
  int64_t value = 0;
  const std::errc error = convert(text, value);
  double real = 0;
  if (error == std::errc::invalid_argument) {
    const bool number = convert(text, real) == std::errc() && std::abs(real) < 9e15;
    const double whole = clamp_to(limits, std::round(real), 1);
    return Fault{"is not a whole number",
                 number ? cat("write ", static_cast<int64_t>(whole))
                        : std::string("write digits only, for instance 1")};
  }
  if (error != std::errc() || value < lowest || value > highest) {
    return Fault{cat("is outside what this key can hold (", lowest, " .. ", highest, ")"),
                 "write a smaller number"};
  }
  const double near = clamp_to(limits, static_cast<double>(value), 1);
  if (near != static_cast<double>(value)) {
    return Fault{cat("must be ", to_string(limits)),
                 cat("the nearest valid value is ", static_cast<int64_t>(near))};
  }
  out = value;
  return {};
}

std::optional<Fault> parse_real(const std::string& text, const Limits& limits,
                                double& out) {
  double value = 0;
  if (convert(text, value) != std::errc() || !std::isfinite(value)) {
    return Fault{"is not a finite number", "write it as 0.1, 1e-5 or 3"};
  }
  const double near = clamp_to(limits, value, 1e-8);
  if (near != value) {
    return Fault{cat("must be ", to_string(limits)),
                 cat("the nearest valid value is ", real_text(near))};
  }
  out = value;
  return {};
}

std::optional<Fault> parse_duration(const std::string& text, const Limits& limits,
                                    Duration& out) {
  const Fault malformed{"is no time",
                        "write it as DD:HH:MM:SS, for instance 00:23:30:00"};
  std::string colons = text;
  const size_t dash = colons.find('-');
  if (dash != std::string::npos) colons[dash] = ':';
  std::vector<std::string> parts = split(colons, ':');
  if (parts.size() == 3 && dash == std::string::npos) parts.insert(parts.begin(), "0");
  if (parts.size() != 4 || (dash != std::string::npos && dash != parts[0].size()))
    return malformed;
  constexpr int64_t kMostDays = 100000;
  constexpr int64_t kBelow[] = {kMostDays, 24, 60, 60};
  int64_t seconds = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    int64_t value = 0;
    if (convert(parts[i], value) != std::errc() || value < 0 || value >= kBelow[i])
      return malformed;
    seconds = seconds * kBelow[i] + value;
  }
  if (seconds == 0 && limits.min_open)
    return Fault{"leaves no time", "write at least 00:00:00:01, or null for no limit"};
  out.seconds = seconds;
  return {};
}

std::string duration_text(Duration value) {
  const int64_t minutes = value.seconds / 60, hours = minutes / 60;
  char text[48];
  std::snprintf(text, sizeof text, "%02lld:%02lld:%02lld:%02lld",
                static_cast<long long>(hours / 24), static_cast<long long>(hours % 24),
                static_cast<long long>(minutes % 60),
                static_cast<long long>(value.seconds % 60));
  return text;
}

std::optional<Fault> parse_bool(const std::string& text, bool& out) {
  const std::string word = lower(text);
  if (word == "true" || word == "yes" || word == "on" || word == "1") {
    out = true;
  } else if (word == "false" || word == "no" || word == "off" || word == "0") {
    out = false;
  } else {
    const std::string near = nearest(word, {"true", "false", "yes", "no", "on", "off"});
    return Fault{"is neither true nor false (also: yes, no, on, off, 1, 0)",
                 cat("write ", near.empty() ? "true or false" : near)};
  }
  return {};
}

std::optional<Fault> parse_word(const std::string& text,
                                const std::vector<std::string>& words, size_t& out) {
  const auto found = std::find(words.begin(), words.end(), text);
  if (found != words.end()) {
    out = static_cast<size_t>(found - words.begin());
    return {};
  }
  const std::string near = text.size() > 64 ? std::string() : nearest(lower(text), words);
  return Fault{cat("is not one of ", join(words, ", ")),
               near.empty() ? cat("for instance ", words.front())
                            : cat("did you mean ", near, "?")};
}

std::string real_text(double value) {
  char buffer[32];
  const auto [end, error] = std::to_chars(buffer, buffer + sizeof buffer, value);
  return {buffer, error == std::errc() ? end : buffer};
}

std::string quoted_where_needed(const std::string& text) {
  bool plain = trim(text) == text && text != "null" && text != "~";
  plain = plain && !text.starts_with('"') && !has_marks(text);
  return plain ? text : json_line(nlohmann::json(text));
}

std::optional<Fault> single_text(const RawValue& raw, std::string& out) {
  if (raw.items && raw.items->size() != 1) {
    return Fault{
        cat("is a list of ", raw.items->size(), " items, but one value is needed"),
        "write a single value"};
  }
  out = raw.items ? raw.items->front() : raw.text;
  return {};
}

std::vector<std::string> list_items(const RawValue& raw) {
  if (raw.items) return *raw.items;
  std::vector<std::string> items;
  if (raw.text.empty() || (raw.text == "none" && !raw.quoted)) return items;
  if (raw.text.front() == '[' && raw.text.back() == ']') {
    const auto json = nlohmann::json::parse(raw.text, nullptr, false);
    if (json.is_array()) {
      for (const auto& item : json) {
        items.push_back(item.is_string() ? item.get<std::string>() : item.dump());
      }
      return items;
    }
  }
  for (const std::string& piece : split(raw.text, ',')) items.emplace_back(trim(piece));
  return items;
}

std::string list_text(const std::vector<std::string>& items) {
  bool plain = true;
  for (const std::string& item : items) {
    plain = plain && trim(item) == item && !has_marks(item) && item != "none" &&
            item.find_first_of(",\"[") == std::string::npos;
  }
  return plain ? join(items, ", ") : json_line(nlohmann::json(items));
}

}  // namespace mtrain::config
