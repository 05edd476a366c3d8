// JSON from elsewhere: depth, duplicates, malformed text, streaming.
#include <boost/test/unit_test.hpp>
#include <sstream>

#include "fixtures.hpp"
#include "guarded_json.hpp"

using namespace mtrain;
using namespace mtrain::data;

namespace {

std::string nested(size_t depth) {
  return std::string(depth, '[') + std::string(depth, ']');
}

std::string error_of(const std::string& text) {
  return test::user_error([&] { parse_json(text, "a.json"); });
}

std::vector<std::string> streamed(const std::string& text) {
  std::istringstream input(text);
  std::vector<std::string> values;
  stream_json(input, "a.json",
              [&](OrderedJson&& value) { values.push_back(value.dump()); });
  return values;
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
  BOOST_TEST(error_of(R"({"a":1,"b":2,"a":3})").find("duplicate key \"a\"") !=
             std::string::npos);
}

BOOST_AUTO_TEST_CASE(malformed_text_is_refused_with_its_place) {
  for (const char* text : {"", "{", "[1,", "{\"a\":}", "nul", "[1] 2", "\"\\ud800\"",
                           "\"\xff\"", "{1:2}", "[1e999999]"})
    BOOST_TEST(error_of(text).find("a.json: ") == 0u, text << ": " << error_of(text));
  BOOST_TEST(error_of("{\"a\":\n\n 1,}").find("line 3") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(lists_are_streamed_by_element) {
  BOOST_TEST(streamed(R"([{"a":[1]},2,[3,[4]],"x"])") ==
             (std::vector<std::string>{R"({"a":[1]})", "2", "[3,[4]]", "\"x\""}));
  BOOST_TEST(streamed("[]").empty());
  BOOST_TEST(streamed(R"({"a":1})") == (std::vector<std::string>{R"({"a":1})"}));
  BOOST_TEST(test::user_error([] { streamed("[1,2"); }).find("a.json: ") == 0u);
}

BOOST_AUTO_TEST_SUITE_END()
