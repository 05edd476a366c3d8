// Text helpers that messages rely on.
#include "mtrain/base/text.hpp"

#include <boost/test/unit_test.hpp>

using namespace mtrain;

BOOST_AUTO_TEST_SUITE(text)

BOOST_AUTO_TEST_CASE(nearest_finds_misspellings_only) {
  const std::vector<std::string> keys = {"learning_rate", "max_steps", "seed"};
  BOOST_TEST(nearest("learnin_rate", keys) == "learning_rate");
  BOOST_TEST(nearest("maxsteps", keys) == "max_steps");
  BOOST_TEST(nearest("zzzzzzzz", keys) == "");
}

BOOST_AUTO_TEST_CASE(split_and_trim) {
  const auto pieces = split("a,,b", ',');
  BOOST_TEST(pieces.size() == 3u);
  BOOST_TEST(pieces[1] == "");
  BOOST_TEST(trim(" \t x y\r\n") == "x y");
  BOOST_TEST(trim("  ") == "");
}

BOOST_AUTO_TEST_CASE(human_figures) {
  BOOST_TEST(human_bytes(312) == "312 B");
  BOOST_TEST(human_bytes(1.5 * 1024 * 1024) == "1.5 MiB");
  BOOST_TEST(human_count(1.72e9) == "1.72B");
  BOOST_TEST(human_duration(3723.4) == "1:02:03");
  BOOST_TEST(human_duration(59.6) == "01:00");
}

BOOST_AUTO_TEST_SUITE_END()
