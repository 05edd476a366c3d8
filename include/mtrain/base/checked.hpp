// Arithmetic on numbers that users gave, which may be of any size.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>

namespace mtrain {

/// The product of numbers from 0 on. UserError where it does not fit into 63 bits: "the
/// WHAT, A x B x C, is too large".
int64_t checked_product(std::initializer_list<int64_t> factors, const std::string& what);

/// `value` as a whole number. UserError where it is none below 2^53: "WHAT is VALUE, too
/// large".
int64_t checked_whole(double value, const std::string& what);

}  // namespace mtrain
