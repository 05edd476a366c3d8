// Owns arithmetic that refuses to overflow; called wherever values of a deck are
// multiplied.
#include "mtrain/base/checked.hpp"

#include <cmath>

#include "mtrain/base/error.hpp"

namespace mtrain {
namespace {

/// Up to here doubles tell whole numbers apart.
constexpr double kMostWhole = 9007199254740992.0;

}  // namespace

int64_t checked_product(std::initializer_list<int64_t> factors, const std::string& what) {
  int64_t product = 1;
  for (const int64_t factor : factors)
    if (__builtin_mul_overflow(product, factor, &product))
      throw UserError(cat("the ", what, ", ", join(factors, " x "), ", is too large"),
                      "lower the largest of these numbers");
  return product;
}

int64_t checked_whole(double value, const std::string& what) {
  if (!(std::abs(value) < kMostWhole))
    throw UserError(cat(what, " is ", value, ", too large"), "give a smaller number");
  return static_cast<int64_t>(value);
}

}  // namespace mtrain
