// Text helpers that messages rely on.
#include "mtrain/base/text.hpp"

#include <boost/test/unit_test.hpp>

#include "mtrain/base/fault_list.hpp"
#include "mtrain/base/figures.hpp"

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
  // Never an exponent: there are 1024 to the next unit.
  BOOST_TEST(human_bytes(1023) == "1023 B");
  BOOST_TEST(human_bytes(1020.0 * 1024) == "1020 KiB");
  BOOST_TEST(human_bytes(-1000.0 * 1024 * 1024) == "-1000 MiB");
  BOOST_TEST(human_bytes(5000.0 * 1024 * 1024 * 1024 * 1024) == "5000 TiB");
  BOOST_TEST(human_count(999.7e3) == "1M");
  BOOST_TEST(three_digits(1234.5) == "1234");
  BOOST_TEST(three_digits(0.01234) == "0.0123");
  BOOST_TEST(three_digits(0.00001234) == "0.000012");
  BOOST_TEST(three_digits(0) == "0");
  BOOST_TEST(with_commas(7) == "7");
  BOOST_TEST(with_commas(52002) == "52,002");
  BOOST_TEST(with_commas(-1234567) == "-1,234,567");
  BOOST_TEST(human_duration(3723.4) == "1:02:03");
  BOOST_TEST(human_duration(59.6) == "01:00");
}

BOOST_AUTO_TEST_CASE(faults_are_told_together) {
  FaultList faults;
  BOOST_TEST(faults.check([] {}));
  BOOST_CHECK_NO_THROW(faults.throw_if_any());
  const auto fail = [] { throw UserError("one is wrong", "mend one"); };
  BOOST_TEST(!faults.check(fail));
  BOOST_TEST(!faults.check(fail));
  const auto message = [&] {
    try {
      faults.throw_if_any();
    } catch (const UserError& fault) {
      return cat(fault.what(), " | ", fault.remedy());
    }
    return std::string();
  };
  BOOST_TEST(message() == "one is wrong | mend one");
  faults.add(UserError("two is wrong", "mend two"));
  for (const char* part :
       {"2 faults", "one is wrong", "mend one", "two is wrong", "mend two"})
    BOOST_TEST(message().find(part) != std::string::npos, message());
}

BOOST_AUTO_TEST_SUITE_END()
