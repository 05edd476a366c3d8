// UTF-8, normalization, the byte alphabet, words of patterns.
#include <boost/test/unit_test.hpp>

#include "byte_alphabet.hpp"
#include "fixtures.hpp"
#include "nfc.hpp"
#include "regex.hpp"
#include "utf8.hpp"

using namespace mtrain;
using namespace mtrain::data;
using namespace std::string_view_literals;

namespace {

std::string nfc(std::string_view text) {
  static Nfc form;
  std::string buffer;
  return std::string(form.normalize(text, buffer));
}

std::vector<std::string> matches(const std::string& pattern, std::string_view text) {
  const Regex regex(pattern, "here");
  std::vector<std::string> found;
  Regex::Match match{};
  for (size_t at = 0; regex.find(text, at, match); at = match.end)
    found.emplace_back(text.substr(match.begin, match.end - match.begin));
  return found;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(text)

BOOST_AUTO_TEST_CASE(utf8_is_valid_up_to_the_first_fault) {
  BOOST_TEST(invalid_utf8("") == 0u);
  BOOST_TEST(invalid_utf8("plain ascii of some length") == 26u);
  BOOST_TEST(invalid_utf8("\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80") == 9u);
  BOOST_TEST(invalid_utf8("ab\xff") == 2u);
  BOOST_TEST(invalid_utf8("\xc0\x80") == 0u);          // overlong
  BOOST_TEST(invalid_utf8("\xed\xa0\x80") == 0u);      // surrogate
  BOOST_TEST(invalid_utf8("\xf4\x90\x80\x80") == 0u);  // above U+10FFFF
  BOOST_TEST(invalid_utf8("12345678\xe4\xb8") == 8u);  // cut off
}

BOOST_AUTO_TEST_CASE(each_maximal_invalid_part_becomes_one_replacement) {
  const std::string mark = "\xef\xbf\xbd";
  BOOST_TEST(repair_utf8("a\xe4\xb8z") == "a" + mark + "z");
  BOOST_TEST(repair_utf8("\xff\xfe") == mark + mark);
  BOOST_TEST(repair_utf8("\xed\xa0\x80") == mark + mark + mark);
  BOOST_TEST(repair_utf8("\xf0\x9f\x98") == mark);
  BOOST_TEST(repair_utf8("\xc3\xa9") == "\xc3\xa9");
}

BOOST_AUTO_TEST_CASE(code_points_are_read_forwards_and_backwards) {
  const std::string text = "a\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80";
  size_t at = 0;
  BOOST_TEST((next_code_point(text, at) == U'a'));
  BOOST_TEST((next_code_point(text, at) == U'\u00e9'));
  BOOST_TEST((next_code_point(text, at) == U'\u4e2d'));
  BOOST_TEST((code_point_before(text, at) == U'\u4e2d'));
  BOOST_TEST((next_code_point(text, at) == U'\U0001f600'));
  BOOST_TEST(at == text.size());
  BOOST_TEST((code_point_before(text, at) == U'\U0001f600'));
}

BOOST_AUTO_TEST_CASE(form_c_composes_and_reorders) {
  BOOST_TEST(nfc("plain") == "plain");
  BOOST_TEST(nfc("e\u0301") == "\u00e9");
  BOOST_TEST(nfc("\u00e9") == "\u00e9");
  BOOST_TEST(nfc("\u212b") == "\u00c5");
  BOOST_TEST(nfc("a\u0301\u0323") == "\u1ea1\u0301");
  BOOST_TEST(nfc("a\u0315\u0316") == "a\u0316\u0315");  // marks that compose with nothing
  BOOST_TEST(nfc("\u1112\u1161\u11ab") == "\ud55c");
  BOOST_TEST(nfc("\uac00\u11a8") == "\uac01");
  BOOST_TEST(nfc("\u0958") == "\u0915\u093c");
  BOOST_TEST(nfc("nul\0in it e\u0301"sv) == "nul\0in it \u00e9"sv);
}

BOOST_AUTO_TEST_CASE(form_c_keeps_a_vowel_that_is_no_final) {
  BOOST_TEST(nfc("\u110b\u116f\u11a7x") == "\uc6cc\u11a7x");
  BOOST_TEST(nfc("\uac00\u11a7\u11a8") == "\uac00\u11a7\u11a8");
}

BOOST_AUTO_TEST_CASE(every_byte_has_a_spelling_of_its_own) {
  for (int byte = 0; byte < 256; ++byte) {
    const auto value = static_cast<unsigned char>(byte);
    BOOST_TEST(bytes_of_spelling(spelling_of_byte(value)) ==
               std::string(1, static_cast<char>(value)));
  }
  BOOST_TEST(spelling_of_byte(' ') == "\u0120");
  BOOST_TEST(spelling_of_byte('a') == "a");
  BOOST_TEST(bytes_of_spelling("\u0120a\u4e2d") == "\u0120a\u4e2d");
}

BOOST_AUTO_TEST_CASE(patterns_see_unicode_classes_and_the_right_white_space) {
  BOOST_TEST(matches(R"(\p{L}+|\s+)", "h\u00e9 \u00a0\u4e2d") ==
             (std::vector<std::string>{"h\u00e9", " \u00a0", "\u4e2d"}));
  // U+180E is no white space, though PCRE2's own \s takes it.
  BOOST_TEST(matches(R"(\s)", "\u180e").empty());
  BOOST_TEST(matches(R"([^\s]+)", "a\u180e\u0085b") ==
             (std::vector<std::string>{"a\u180e", "b"}));
  BOOST_TEST(matches(R"(\S)", "\u3000x") == (std::vector<std::string>{"x"}));
}

BOOST_AUTO_TEST_CASE(long_runs_do_not_exhaust_the_matcher) {
  const std::string spaces(1 << 20, ' ');
  BOOST_TEST(matches(R"(\s+(?!\S)|\s+)", spaces + "x").size() == 2u);
  BOOST_TEST(matches(R"((?:a|b)*c)", std::string(1 << 16, 'a') + "c").size() == 1u);
}

BOOST_AUTO_TEST_CASE(patterns_that_mean_another_thing_elsewhere_are_refused) {
  for (const char* pattern : {"^a", "a$", "\\w+", "\\ba", "[a-z&&[^x]]", "a{,3}", "(?m)a",
                              "(?<n>a)", "\\h", "[\\S]", "a\\"}) {
    const auto error = test::user_error([&] { Regex(pattern, "the place"); });
    BOOST_TEST(error.find("the place: ") == 0u, pattern << ": " << error);
    BOOST_TEST(error.find("not supported") != error.npos, pattern << ": " << error);
  }
  const auto error = test::user_error([] { Regex("(a", "the place"); });
  BOOST_TEST(error.find("malformed pattern") != error.npos, error);
}

BOOST_AUTO_TEST_SUITE_END()
