// JSON as Python's json module reads and writes it, since tools and calls are tokenized
// in its spelling.
#pragma once

#include <string>

#include "mtrain/base/json.hpp"

namespace mtrain::data {

/// json.dumps(value, ensure_ascii=False): ", " and ": " between items, shortest digits of
/// floats in Python's layout. A binary value is an integer of many digits, as
/// JsonDialect::kPythonText gives it.
std::string dumps(const OrderedJson& value);

/// A float as json.dumps writes it: "1e-07", "100000.0", "1e+16", "NaN", "-Infinity".
std::string python_float(double value);

}  // namespace mtrain::data
