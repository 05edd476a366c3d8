// Counter-based random numbers: known answers, range independence, permutations.
#define BOOST_TEST_MODULE base
#include "mtrain/base/rng.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <set>
#include <vector>

#include "mtrain/base/error.hpp"

using namespace mtrain;

BOOST_AUTO_TEST_SUITE(rng)

// Known-answer vectors of the Random123 distribution (kat_vectors, philox4x32 10).
BOOST_AUTO_TEST_CASE(philox_known_answers) {
  const auto zeros = philox(0, 0, 0);
  BOOST_TEST(zeros[0] == 0x6627e8d5u);
  BOOST_TEST(zeros[1] == 0xe169c58du);
  BOOST_TEST(zeros[2] == 0xbc57ac4cu);
  BOOST_TEST(zeros[3] == 0x9b00dbd8u);
  const auto ones = philox(~0ull, ~0ull, ~0ull);
  BOOST_TEST(ones[0] == 0x408f276du);
  BOOST_TEST(ones[1] == 0x41c83b0eu);
  BOOST_TEST(ones[2] == 0xa20bc7c6u);
  BOOST_TEST(ones[3] == 0x6d5451fdu);
}

BOOST_AUTO_TEST_CASE(normals_do_not_depend_on_the_range) {
  std::vector<float> whole(101), part(37);
  normal_stream(7, "layer.weight", 0, 101, whole.data());
  normal_stream(7, "layer.weight", 50, 37, part.data());
  for (size_t i = 0; i < part.size(); ++i) BOOST_TEST(part[i] == whole[50 + i]);
}

BOOST_AUTO_TEST_CASE(normals_have_unit_variance) {
  const int64_t n = 200000;
  std::vector<float> x(n);
  normal_stream(3, "w", 0, n, x.data());
  double sum = 0, squares = 0;
  for (const float v : x) sum += v, squares += double(v) * v;
  BOOST_TEST(std::abs(sum / n) < 0.01);
  BOOST_TEST(std::abs(squares / n - 1.0) < 0.02);
}

BOOST_AUTO_TEST_CASE(permutation_visits_everything_once) {
  for (const int64_t n : {1, 2, 3, 17, 1000}) {
    const Permutation order(42, 5, n);
    std::set<int64_t> seen;
    for (int64_t i = 0; i < n; ++i) seen.insert(order(i));
    BOOST_TEST(static_cast<int64_t>(seen.size()) == n);
    BOOST_TEST(*seen.rbegin() == n - 1);
  }
}

BOOST_AUTO_TEST_CASE(epochs_and_seeds_give_other_orders) {
  const Permutation a(42, 0, 1000), b(42, 1, 1000), c(43, 0, 1000);
  int same_epoch = 0, same_seed = 0;
  for (int64_t i = 0; i < 1000; ++i) {
    same_epoch += a(i) == b(i);
    same_seed += a(i) == c(i);
  }
  BOOST_TEST(same_epoch < 20);
  BOOST_TEST(same_seed < 20);
}

BOOST_AUTO_TEST_CASE(index_outside_is_an_error) {
  const Permutation order(1, 0, 5);
  BOOST_CHECK_THROW(order(5), Error);
}

BOOST_AUTO_TEST_SUITE_END()
