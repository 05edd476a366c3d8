// Python's JSON, tool descriptions, calls, merged types, packing.
#include <boost/test/unit_test.hpp>

#include "arrow_schema.hpp"
#include "packing.hpp"
#include "python_json.hpp"
#include "record_file.hpp"
#include "tool_format.hpp"

using namespace mtrain;
using namespace mtrain::data;

namespace {

std::string rewritten(const std::string& text) {
  return dumps(parse_ordered_json(text, "", JsonDialect::kPythonText));
}

std::string fault_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const RecordFault& fault) {
    return fault.what;
  }
  return {};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tools)

BOOST_AUTO_TEST_CASE(json_is_spelled_as_python_does) {
  BOOST_TEST(rewritten(R"({"b":[1,-2,null,true],"a":{}})") ==
             R"({"b": [1, -2, null, true], "a": {}})");
  BOOST_TEST(rewritten(R"({"a":1,"b":2,"a":3})") == R"({"a": 3, "b": 2})");
  BOOST_TEST(rewritten("123456789012345678901234567890") ==
             "123456789012345678901234567890");
  BOOST_TEST(rewritten(R"("\u4e2d\/\n\t\"\\\u0001\u007f")") ==
             "\"\xe4\xb8\xad/\\n\\t\\\"\\\\\\u0001\x7f\"");
}

BOOST_AUTO_TEST_CASE(floats_are_spelled_as_python_does) {
  const std::pair<double, const char*> values[] = {{1.0, "1.0"},
                                                   {1e5, "100000.0"},
                                                   {-0.0, "-0.0"},
                                                   {1e-7, "1e-07"},
                                                   {1e16, "1e+16"},
                                                   {1e17, "1e+17"},
                                                   {0.1, "0.1"},
                                                   {5e-324, "5e-324"},
                                                   {1500.0, "1500.0"},
                                                   {1e-4, "0.0001"},
                                                   {1e15, "1000000000000000.0"}};
  for (const auto& [value, text] : values) BOOST_TEST(python_float(value) == text);
}

BOOST_AUTO_TEST_CASE(calls_of_qwen3_5_are_written_in_tags) {
  const ToolFormat& format = find_tool_format("qwen3_5");
  BOOST_TEST(
      format_calls(format, R"({"name": "f", "arguments": {"a": "x y", "b": [1]}})") ==
      "<tool_call>\n<function=f>\n<parameter=a>\nx y\n</parameter>\n<parameter=b>\n"
      "[1]\n</parameter>\n</function>\n</tool_call>");
  BOOST_TEST(fault_of([&] {
               format_calls(format, R"({"name": "f", "arguments": "x"})");
             }).find("are no object") != std::string::npos);
  const std::string tool = R"([{"type": "function", "function": {"name": "f"}}])";
  BOOST_TEST(format.describe(tool).find("<tools>\n{\"name\": \"f\"}\n</tools>") !=
             std::string::npos);
  BOOST_TEST(find_tool_format("qwen3_8").describe(tool).find(
                 R"({"type": "function", "function": {"name": "f"}})") !=
             std::string::npos);
}

BOOST_AUTO_TEST_CASE(calls_are_found_in_all_their_forms) {
  const ToolFormat& qwen = find_tool_format("qwen");
  const std::string call = R"({"name": "f", "arguments": {"x":1}})";
  const std::string written =
      "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"x\": 1}}\n</tool_call>";
  BOOST_TEST(format_calls(qwen, call) == written);
  BOOST_TEST(format_calls(qwen, "[" + call + "," + call + "]") ==
             written + "\n" + written);
  BOOST_TEST(format_calls(qwen, "Hm. <tool_call>" + call + "</tool_call>") ==
             "Hm. " + written);
  const std::string thought = "<think>\nx\n</think>\n\n";
  BOOST_TEST(format_calls(qwen, thought + call) == thought + written);
  BOOST_TEST(format_calls(find_tool_format("default"), call) ==
             "Action: f\nAction Input: {\"x\": 1}");
  for (const char* bad : {"x", "[\"f\"]", R"({"name":"f"})", R"({"arguments":1})"})
    BOOST_TEST(!fault_of([&] { format_calls(qwen, bad); }).empty(), bad);
}

BOOST_AUTO_TEST_CASE(descriptions_of_no_tools_are_faults) {
  for (const char* name : {"qwen", "default"}) {
    const auto describe = find_tool_format(name).describe;
    BOOST_TEST(describe("[]") == "");
    for (const char* bad : {"x", "{}", "[3]"})
      BOOST_TEST(!fault_of([&] { describe(bad); }).empty(), name << bad);
  }
  BOOST_TEST(!fault_of([] {
                find_tool_format("default").describe(R"([{"name":"f"}])");
              }).empty());
}

BOOST_AUTO_TEST_CASE(objects_at_one_place_have_the_same_members) {
  ArrowSchema schema;
  auto a = OrderedJson::parse(R"([{"x":1},{"y":{"z":1}}])");
  auto b = OrderedJson::parse(R"([{"x":2.5,"w":null}])");
  schema.observe(a);
  schema.observe(b);
  schema.apply(a);
  schema.apply(b);
  BOOST_TEST(dumps(a) == R"([{"x": 1.0, "y": null, "w": null}, )"
                         R"({"x": null, "y": {"z": 1}, "w": null}])");
  BOOST_TEST(dumps(b) == R"([{"x": 2.5, "y": null, "w": null}])");
  BOOST_TEST(
      !fault_of([&] { schema.observe(OrderedJson::parse(R"([{"x":"1"}])")); }).empty());
}

BOOST_AUTO_TEST_CASE(rows_take_the_longest_that_fits) {
  using Rows = std::vector<std::vector<size_t>>;
  BOOST_TEST((pack_rows({5, 3, 3, 8, 2}, 10) == Rows{{3, 4}, {0, 2}, {1}}));
  BOOST_TEST((pack_rows({}, 10) == Rows{}));
  BOOST_TEST((pack_rows({0, 4}, 4) == Rows{{1, 0}}));
}

BOOST_AUTO_TEST_SUITE_END()
