// Strict parsing and printing of single values.
#include "value.hpp"

#include "support.hpp"

namespace mtrain::config {

namespace {

RawValue raw(const std::string& text) {
  std::optional<Fault> fault;
  RawValue out = raw_from_text(text, fault);
  BOOST_TEST(!fault.has_value());
  return out;
}

template <class T>
T value(const std::string& text, const Limits& limits = any_value()) {
  T out{};
  const auto fault = ValueType<T>::parse(raw(text), limits, out);
  BOOST_TEST(!fault.has_value(), text << " " << (fault ? fault->rule : ""));
  return out;
}

/// "rule; suggestion" of a value that must be refused.
template <class T>
std::string refused(const std::string& text, const Limits& limits = any_value()) {
  T out{};
  const auto fault = ValueType<T>::parse(raw(text), limits, out);
  BOOST_TEST(fault.has_value(), text << " was accepted");
  return fault ? fault->rule + "; " + fault->suggestion : std::string();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(value_suite)

BOOST_AUTO_TEST_CASE(integers_are_strict) {
  BOOST_TEST(value<int>("12") == 12);
  BOOST_TEST(value<int>("+3") == 3);
  BOOST_TEST(value<int>(" -1 ") == -1);
  BOOST_TEST(value<int64_t>("9007199254740993") == 9007199254740993);
  for (const char* text :
       {"3x", "", "1_000", "0x10", "1,000", "one", "- 1", "+-1", "nan"}) {
    CHECK_HAS(refused<int>(text), "whole number");
  }
  CHECK_HAS(refused<int>("3.5"), "whole number", "write 4");
  CHECK_HAS(refused<int>("1e3"), "write 1000");
  CHECK_HAS(refused<int>("99999999999"), "outside");
  CHECK_HAS(refused<int64_t>("99999999999999999999"), "outside");
}

BOOST_AUTO_TEST_CASE(integers_keep_their_range) {
  CHECK_HAS(refused<int>("0", at_least(1)), "must be >= 1", "nearest valid value is 1");
  CHECK_HAS(refused<int>("9", between(0, 3)), "0 <= x <= 3", "nearest valid value is 3");
}

BOOST_AUTO_TEST_CASE(reals_are_strict) {
  BOOST_TEST(value<double>("1e-5") == 1e-5);
  BOOST_TEST(value<double>("1.0e-4") == 1e-4);
  BOOST_TEST(value<double>("3") == 3.0);
  BOOST_TEST(value<double>(".5") == 0.5);
  for (const char* text : {"1e", "0.1f", "", "inf", "nan", "1e999", "0,1", "1 2"}) {
    CHECK_HAS(refused<double>(text), "not a finite number");
  }
  CHECK_HAS(refused<double>("1", from_below(0, 1)), "0 <= x < 1",
            "nearest valid value is");
  CHECK_HAS(refused<double>("0", above(0)), "must be > 0");
}

BOOST_AUTO_TEST_CASE(booleans_have_eight_words) {
  for (const char* text : {"true", "True", "yes", "on", "1"})
    BOOST_TEST(value<bool>(text));
  for (const char* text : {"false", "NO", "off", "0"}) BOOST_TEST(!value<bool>(text));
  CHECK_HAS(refused<bool>("ture"), "neither true nor false", "write true");
  CHECK_HAS(refused<bool>("2"), "true or false");
}

BOOST_AUTO_TEST_CASE(durations_have_three_forms) {
  const auto seconds = [](const std::string& text) {
    return value<Duration>(text, above(0)).seconds;
  };
  BOOST_TEST(seconds("00:00:00:01") == 1);
  BOOST_TEST(seconds("01:02:03:04") == 93784);
  BOOST_TEST(seconds("1-02:03:04") == 93784);
  BOOST_TEST(seconds("23:30:00") == 84600);
  for (const char* text : {"", "60", "10:00", "24:00:00", "00:60:00", "1-2-3:00:00", "x",
                           "-1:00:00:00", "00:00:00:00:01", "1-00:00", "1:00:00:00.5"}) {
    CHECK_HAS(refused<Duration>(text, above(0)), "is no time", "DD:HH:MM:SS");
  }
  CHECK_HAS(refused<Duration>("00:00:00", above(0)), "leaves no time");
  BOOST_TEST(ValueType<Duration>::text({93784}) == "01:02:03:04");
  BOOST_TEST(seconds(ValueType<Duration>::text({123456789})) == 123456789);
}

BOOST_AUTO_TEST_CASE(choices_suggest_the_nearest_word) {
  BOOST_TEST((value<Stage>("pt") == Stage::kPt));
  CHECK_HAS(refused<LrScheduler>("cosin"), "not one of constant", "did you mean cosine?");
  CHECK_HAS(refused<LrScheduler>("polynomial_decay_of_something"),
            "for instance constant");
}

BOOST_AUTO_TEST_CASE(optional_values_have_null_words) {
  for (const char* text : {"null", "~", "none", "None", ""}) {
    BOOST_TEST(!value<std::optional<bool>>(text).has_value());
  }
  BOOST_TEST(value<std::optional<bool>>("false").has_value());
  BOOST_TEST(!value<std::optional<std::string>>("null").has_value());
  BOOST_TEST(value<std::optional<std::string>>("").value() == "");
  BOOST_TEST(value<std::optional<std::string>>("\"null\"").value() == "null");
}

BOOST_AUTO_TEST_CASE(lists_are_comma_separated) {
  const auto names = value<std::vector<std::string>>(" a, b ,c");
  BOOST_TEST(names == (std::vector<std::string>{"a", "b", "c"}),
             boost::test_tools::per_element());
  BOOST_TEST(value<std::vector<std::string>>("").empty());
  BOOST_TEST(value<std::vector<std::string>>(R"(["a,b", "c"])").size() == 2u);
  BOOST_TEST(value<std::vector<double>>("0.25, 0.75").at(1) == 0.75);
  CHECK_HAS(refused<std::vector<std::string>>("a,,b"), "empty item", "comma");
  CHECK_HAS(refused<std::vector<double>>("0.5, x"), "not a finite number");
}

BOOST_AUTO_TEST_CASE(text_survives_printing) {
  for (const std::string& text :
       {std::string(""), std::string("plain"), std::string("a # b"), std::string("null"),
        std::string(" outer "), std::string("line\nbreak\t\"quoted\""), std::string("~"),
        std::string("\"x\""), std::string("[1]"), std::string("ü€")}) {
    const std::string printed = ValueType<std::string>::text(text);
    BOOST_TEST(printed.find_first_of("#\n") == std::string::npos);
    BOOST_TEST(value<std::string>(printed) == text);
  }
  const std::vector<std::string> list = {"a,b", "c#d", "none", "[x"};
  const std::string printed = ValueType<std::vector<std::string>>::text(list);
  BOOST_TEST(value<std::vector<std::string>>(printed) == list,
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(reals_survive_printing) {
  for (const double real : {5e-5, 0.1, 1.0 / 3, 1e300, 3.0}) {
    BOOST_TEST(value<double>(real_text(real)) == real);
  }
}

BOOST_AUTO_TEST_CASE(a_broken_quotation_is_a_fault) {
  std::optional<Fault> fault;
  raw_from_text(R"("bad \q")", fault);
  BOOST_TEST(fault.has_value());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mtrain::config
