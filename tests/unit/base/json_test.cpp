// JSON from elsewhere: depth, duplicates, malformed text.
#include "mtrain/base/json.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>

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

// The value as text, or why there is none; floats that JSON has no name for by theirs.
std::string read(const std::string& text, JsonDialect dialect) {
  try {
    const OrderedJson value = parse_ordered_json(text, "", dialect);
    if (value.is_number_float() && !std::isfinite(value.get<double>()))
      return std::isnan(value.get<double>())
                 ? "nan"
                 : cat(value.get<double>() < 0 ? "-" : "", "inf");
    if (value.is_binary())
      return "digits " +
             std::string(value.get_binary().begin(), value.get_binary().end());
    return value.dump();
  } catch (const UserError& error) {
    return "refused";
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(json)

BOOST_AUTO_TEST_CASE(values_are_built_as_written) {
  const std::string text =
      R"({"a":[1,-2,2.5,true,null,"x"],"b":{"c":[],"d":{}},"e":[[{}]]})";
  BOOST_TEST(parse_json(text, "").dump() == text);
  BOOST_TEST(parse_ordered_json(R"({"z":1,"a":{"y":2,"b":3}})", "", JsonDialect::kStrict)
                 .dump() == R"({"z":1,"a":{"y":2,"b":3}})");
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

// Each column was found by running the reader: json.loads of Python 3.11, load_dataset of
// datasets 4.0 on a .jsonl (pyarrow) and on a .json list (pandas).
BOOST_AUTO_TEST_CASE(each_dialect_reads_what_its_reader_reads) {
  struct Row {
    std::string text, python, arrow, pandas;
  };
  const std::string no = "refused", half = R"("p\ud800")";
  const std::vector<Row> rows = {
      {"NaN", "nan", "nan", "null"},
      {"-NaN", no, "nan", no},
      {"Infinity", "inf", "inf", "inf"},
      {"-Infinity", "-inf", "-inf", "-inf"},
      {"Inf", no, "inf", no},
      {"nan", no, no, no},
      {"1e999", "inf", no, "inf"},
      {"1e-400", "0.0", "0.0", "0.0"},
      {"-0", "0", "0", "0"},
      {"007", no, no, "7"},
      {"5.", no, no, "5.0"},
      {".5", no, no, no},
      {"+1", no, no, no},
      {"-", no, no, no},
      {"123456789012345678901234567890", "1.2345678901234568e+29",
       "1.2345678901234568e+29", no},
      {"18446744073709551615", "18446744073709551615", "1.8446744073709552e+19",
       "1.8446744073709552e+19"},
      {"-9223372036854775808", "-9223372036854775808", "-9223372036854775808",
       "-9223372036854775808"},
      {R"("\ud83d\ude00")", "\"\xf0\x9f\x98\x80\"", "\"\xf0\x9f\x98\x80\"",
       "\"\xf0\x9f\x98\x80\""},
      {half, "\"p\xef\xbf\xbd\"", no, R"("p")"},
      {R"("\ud800\u0041")",
       "\"\xef\xbf\xbd"
       "A\"",
       no, no},
      {R"("\udc00")", "\"\xef\xbf\xbd\"", no, no},
      {"\"a\nb\"", no, no, R"("a\nb")"},
      {std::string("\"a\0b\"", 5), no, no, no},
      {R"({"a":1,"b":2,"a":3})", R"({"a":3,"b":2})", no, R"({"a":3,"b":2})"},
      {R"("\q")", no, no, no},
      {"[1,]", no, no, no},
      {"True", no, no, no},
  };
  for (const Row& row : rows) {
    BOOST_TEST(read(row.text, JsonDialect::kPython) == row.python, row.text);
    BOOST_TEST(read(row.text, JsonDialect::kArrow) == row.arrow, row.text);
    BOOST_TEST(read(row.text, JsonDialect::kPandas) == row.pandas, row.text);
  }
  BOOST_TEST(read(half, JsonDialect::kPythonText) == no);
  BOOST_TEST(read(rows[14].text, JsonDialect::kPythonText) == "digits " + rows[14].text);
  BOOST_TEST(read(std::string(4301, '1'), JsonDialect::kPythonText) == no);
  BOOST_TEST(read("NaN", JsonDialect::kStrict) == no);
  BOOST_TEST(read("Infinity", JsonDialect::kStrict) == no);
}

BOOST_AUTO_TEST_SUITE_END()
