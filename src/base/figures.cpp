// Owns how numbers are written for people; used by messages, plans and logs.
#include "mtrain/base/figures.hpp"

#include <algorithm>
#include <cmath>

#include "mtrain/base/text.hpp"

namespace mtrain {

std::string with_commas(int64_t number) {
  std::string text = std::to_string(number);
  const size_t digits_begin = number < 0 ? 1 : 0;
  for (size_t at = text.size(); at > digits_begin + 3;) {
    at -= 3;
    text.insert(at, ",");
  }
  return text;
}

std::string three_digits(double number) {
  const double size = std::abs(number);
  // From here on %.3g would round to a power of ten with an exponent.
  constexpr double kWhole = 999.5, kSmallest = 1e-4;
  if (size >= kWhole) return formatted("%.0f", number);
  return formatted(size > 0 && size < kSmallest ? "%.6f" : "%.3g", number);
}

}  // namespace mtrain
