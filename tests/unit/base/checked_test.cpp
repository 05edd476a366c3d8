// Arithmetic that refuses to overflow.
#include "mtrain/base/checked.hpp"

#include <boost/test/unit_test.hpp>
#include <limits>

#include "mtrain/base/error.hpp"

using namespace mtrain;

BOOST_AUTO_TEST_SUITE(checked)

BOOST_AUTO_TEST_CASE(products_that_do_not_fit_are_refused_with_their_factors) {
  BOOST_TEST(checked_product({3, 5, 7}, "x") == 105);
  BOOST_TEST(checked_product({int64_t{1} << 31, int64_t{1} << 31}, "x") == int64_t{1}
                                                                               << 62);
  BOOST_TEST(checked_product({}, "x") == 1);
  const auto too_large = [](const UserError& error) {
    return error.what() ==
           std::string("the batch, 4294967296 x 4294967296, is too large");
  };
  BOOST_CHECK_EXCEPTION(checked_product({int64_t{1} << 32, int64_t{1} << 32}, "batch"),
                        UserError, too_large);
}

BOOST_AUTO_TEST_CASE(reals_beyond_whole_numbers_are_refused) {
  BOOST_TEST(checked_whole(12.0, "x") == 12);
  for (const double value : {1e300, 9.1e15, std::numeric_limits<double>::infinity(),
                             std::numeric_limits<double>::quiet_NaN()})
    BOOST_CHECK_THROW(checked_whole(value, "steps"), UserError);
}

BOOST_AUTO_TEST_SUITE_END()
