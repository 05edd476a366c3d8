// Owns the writing of JSON in Python's spelling; called by the converters and the tool
// formats.
#include "python_json.hpp"

#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>

namespace mtrain::data {
namespace {

void write_string(std::string_view text, std::string& out) {
  constexpr std::string_view kEscaped = "\"\\\n\r\t\b\f";
  constexpr std::string_view kLetters = "\"\\nrtbf";
  out += '"';
  for (const char c : text) {
    const size_t escape = kEscaped.find(c);
    if (escape != kEscaped.npos) {
      out += {'\\', kLetters[escape]};
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char code[7];
      std::snprintf(code, sizeof code, "\\u%04x", static_cast<unsigned>(c));
      out += code;
    } else {
      out += c;
    }
  }
  out += '"';
}

void write(const OrderedJson& value, std::string& out) {
  switch (value.type()) {
    case OrderedJson::value_t::object: {
      out += '{';
      for (auto item = value.begin(); item != value.end(); ++item) {
        if (item != value.begin()) out += ", ";
        write_string(item.key(), out);
        out += ": ";
        write(*item, out);
      }
      out += '}';
      return;
    }
    case OrderedJson::value_t::array: {
      out += '[';
      for (size_t i = 0; i < value.size(); ++i) {
        if (i > 0) out += ", ";
        write(value[i], out);
      }
      out += ']';
      return;
    }
    case OrderedJson::value_t::string:
      return write_string(value.get_ref<const std::string&>(), out);
    case OrderedJson::value_t::number_float:
      out += python_float(value.get<double>());
      return;
    case OrderedJson::value_t::binary:
      out.append(value.get_binary().begin(), value.get_binary().end());
      return;
    default:
      out += value.dump();
  }
}

}  // namespace

std::string python_float(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
  char text[40];
  const auto end =
      std::to_chars(text, text + sizeof text, value, std::chars_format::scientific).ptr;
  const std::string_view scientific(text, static_cast<size_t>(end - text));
  const size_t e = scientific.find('e');
  const int exponent = std::atoi(scientific.data() + e + 1);
  // Python writes an exponent outside of these bounds only.
  if (exponent < -4 || exponent >= 16) return std::string(scientific);
  std::string fixed(
      text, std::to_chars(text, text + sizeof text, value, std::chars_format::fixed).ptr);
  if (fixed.find('.') == fixed.npos) fixed += ".0";
  return fixed;
}

std::string dumps(const OrderedJson& value) {
  std::string out;
  write(value, out);
  return out;
}

}  // namespace mtrain::data
