// Numbers as people read them.
#pragma once

#include <cstdint>
#include <string>

namespace mtrain {

/// "52,002".
std::string with_commas(int64_t number);

/// Three significant digits, never an exponent: "0.0123", "4.56", "1023".
std::string three_digits(double number);

}  // namespace mtrain
