// JSON from elsewhere: depth, duplicates, malformed text.
#include "mtrain/base/json.hpp"

#include <boost/test/unit_test.hpp>

#include "mtrain/base/error.hpp"

using namespace mtrain;

namespace {

std::string nested(size_t depth) {
  return std::string(depth, '[') + std::string(depth, ']');
}

std::string error_of(const std::string& text) {
  try {
    parse_json(text, "a.json");
  } catch (const UserError& error) {
    return error.what();
  }
  return {};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(json)

BOOST_AUTO_TEST_CASE(values_are_built_as_written) {
  const std::string text =
      R"({"a":[1,-2,2.5,true,null,"x"],"b":{"c":[],"d":{}},"e":[[{}]]})";
  BOOST_TEST(parse_json(text, "").dump() == text);
  BOOST_TEST(parse_ordered_json(R"({"z":1,"a":{"y":2,"b":3}})", "").dump() ==
             R"({"z":1,"a":{"y":2,"b":3}})");
}

BOOST_AUTO_TEST_CASE(depth_is_bounded) {
  BOOST_TEST(error_of(nested(64)) == "");
  BOOST_TEST(error_of(nested(65)).find("a.json: nested deeper than 64 levels") == 0u);
  BOOST_TEST(error_of(nested(1000000)).find("nested deeper") != std::string::npos);
  BOOST_TEST(error_of(std::string(1000000, '[')).find("nested deeper") !=
             std::string::npos);
}

BOOST_AUTO_TEST_CASE(duplicate_keys_are_refused) {
  BOOST_TEST(error_of(R"({"a":1,"b":{"a":1},"c":{"a":1}})") == "");
  BOOST_TEST(error_of(R"({"a":1,"b":2,"a":3})").find("key \"a\" is given twice") !=
             std::string::npos);
}

BOOST_AUTO_TEST_CASE(malformed_text_is_refused_with_its_place) {
  for (const char* text : {"", "{", "[1,", "{\"a\":}", "nul", "[1] 2", "\"\\ud800\"",
                           "\"\xff\"", "{1:2}", "[1e999999]"})
    BOOST_TEST(error_of(text).find("a.json: ") == 0u, text << ": " << error_of(text));
  BOOST_TEST(error_of("{\"a\":\n\n 1,}").find("line 3") != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
