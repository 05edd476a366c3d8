// Edits of single members: the value, and that all other bytes stay.
#include "mtrain/base/json_edit.hpp"

#include <boost/test/unit_test.hpp>

#include "mtrain/base/error.hpp"

using namespace mtrain;
using nlohmann::json;

BOOST_AUTO_TEST_SUITE(json_edit)

BOOST_AUTO_TEST_CASE(the_value_changes_and_nothing_else) {
  const std::string text =
      " {\"n\" : 1000000000000000019884624838656, \"a\": {\"b\": [1, \"}\\\"\"]},\n"
      "\"x\":NaN }\n";
  BOOST_TEST(with_member(text, "a", "new") ==
             " {\"n\" : 1000000000000000019884624838656, \"a\": \"new\",\n\"x\":NaN }\n");
  BOOST_TEST(with_member(text, "x", nullptr) ==
             " {\"n\" : 1000000000000000019884624838656, \"a\": {\"b\": [1, "
             "\"}\\\"\"]},\n\"x\":null }\n");
}

// Only members of the outermost object are meant.
BOOST_AUTO_TEST_CASE(new_members_go_to_the_end) {
  BOOST_TEST(with_member("{}", "b", 3) == "{\n  \"b\": 3}");
  BOOST_TEST(with_member("{\"a\": {\"b\": 1}\n}", "b", {1, 2}) ==
             "{\"a\": {\"b\": 1},\n  \"b\": [1,2]\n}");
  BOOST_TEST(json::parse(with_member("{\"a\": [[], {}]}", "q\"", "\n"))["q\""] == "\n");
}

// Python takes the last of two; both are changed, so that it makes no difference.
BOOST_AUTO_TEST_CASE(a_key_given_twice) {
  BOOST_TEST(with_member("{\"a\": 1, \"a\": 22}", "a", 3) == "{\"a\": 3, \"a\": 3}");
}

BOOST_AUTO_TEST_CASE(what_is_no_object_is_refused) {
  for (const char* text :
       {"", "[]", "3", "{", "{\"a\"", "{\"a\":", "{\"a\": [", "{\"a\": 1",
        "{\"a\": 1 \"b\": 2}", "{\"a", "{a: 1}", "{\"a\": ]}", "{\"a\":}"})
    BOOST_CHECK_THROW(with_member(text, "a", 1), UserError);
}

BOOST_AUTO_TEST_SUITE_END()
