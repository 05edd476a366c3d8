// dataset_info.json, record files, and the converters.
#include <boost/test/unit_test.hpp>

#include "converter.hpp"
#include "fixtures.hpp"
#include "mtrain/base/error.hpp"

using namespace mtrain;
using namespace mtrain::data;

namespace {

// The records of a file as "place:json", places without the folder; or the fault.
std::string read(const std::string& name, const std::string& bytes) {
  const test::ScratchFolder folder;
  const std::string path = folder.write(name, bytes);
  std::string all;
  const auto error = test::user_error([&] {
    const RecordFile file(path);
    for (int64_t i = 0; i < file.size(); ++i) {
      all += file.place(i).substr(folder.path().size() + 1) + " ";
      try {
        all += file.read(i).dump() + "\n";
      } catch (const RecordFault& fault) {
        all += fault.what + "\n";
      }
    }
  });
  return error.empty() ? all : error;
}

std::string info_error(const std::string& entry, Stage stage = Stage::kSft,
                       const std::string& name = "set") {
  const test::ScratchFolder folder;
  folder.write("dataset_info.json", "{\"set\": " + entry + "}");
  return test::user_error([&] { read_dataset_info(folder.path(), {name}, stage); });
}

DatasetEntry alpaca_entry() {
  DatasetEntry entry;
  entry.name = "set";
  entry.paths = {"set.json"};
  entry.columns.history = "history";
  entry.columns.system = "system";
  entry.columns.tools = "tools";
  return entry;
}

DatasetEntry chat_entry(Formatting formatting, bool ranking = false) {
  DatasetEntry entry = alpaca_entry();
  entry.formatting = formatting;
  entry.ranking = ranking;
  entry.columns.chosen = "chosen";
  entry.columns.rejected = "rejected";
  return entry;
}

// The conversation of a record, as "Uuser|Aassistant|...>response#system", its reason or
// its fault.
std::string convert(const DatasetEntry& entry, const std::string& record) {
  Columns columns(entry);
  AlignedRecord aligned;
  try {
    aligned = make_converter(entry)->convert(OrderedJson::parse(record), columns);
  } catch (const RecordFault& fault) {
    return "fault: " + fault.what;
  }
  if (!aligned.reason.empty()) return "reason: " + aligned.reason;
  std::string text;
  const auto show = [](const Message& message) {
    return "UAFO"[static_cast<size_t>(message.role)] + message.content;
  };
  for (const auto& message : aligned.prompt) text += show(message) + "|";
  for (const auto& message : aligned.response) text += ">" + show(message);
  return text + "#" + aligned.system + aligned.tools;
}

std::string convert(const std::string& record) {
  return convert(alpaca_entry(), record);
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != text.npos;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(records)

BOOST_AUTO_TEST_CASE(lists_lines_and_single_objects_are_read) {
  BOOST_TEST(read("a.json", R"([{"x":1}, {"x":2}])") ==
             "a.json, record 1 {\"x\":1}\na.json, record 2 {\"x\":2}\n");
  BOOST_TEST(read("a.json", R"( [{"x":"],}\"" } ,[[{}]] ] )") ==
             "a.json, record 1 {\"x\":\"],}\\\"\"}\n"
             "a.json, record 2 is a array, not an object\n");
  BOOST_TEST(read("a.json", "{\n\"x\": 1\n}\n") == "a.json, record 1 {\"x\":1}\n");
  BOOST_TEST(read("a.json", "{\"x\":1}\n{\"x\":2}") ==
             "a.json:1 {\"x\":1}\na.json:2 {\"x\":2}\n");
  BOOST_TEST(read("a.jsonl", "[{\"x\":1}]") == "a.jsonl, record 1 {\"x\":1}\n");
  BOOST_TEST(read("a.jsonl", "\xef\xbb\xbf{\"x\":1}\r\n\r\n \n{\"x\":2}") ==
             "a.jsonl:1 {\"x\":1}\na.jsonl:4 {\"x\":2}\n");
}

BOOST_AUTO_TEST_CASE(text_lines_end_at_any_newline_but_at_nothing_else) {
  BOOST_TEST(read("a.txt", "a\r\nb\rc\n\nd\x0b\xe2\x80\xa8") ==
             "a.txt:1 {\"text\":\"a\"}\na.txt:2 {\"text\":\"b\"}\n"
             "a.txt:3 {\"text\":\"c\"}\na.txt:4 {\"text\":\"\"}\n"
             "a.txt:5 {\"text\":\"d\\u000b\xe2\x80\xa8\"}\n");
}

/// Records of a .csv with the columns a and b, one a line.
std::string cells(const std::string& body) {
  std::string all;
  for (const auto& line : split(read("t.csv", "a,b\n" + body), '\n'))
    if (!line.empty())
      all += line.substr(std::min(line.find(' ', 7), line.size())) + "\n";
  return all;
}

// Each as HF datasets 4.0.0 (pandas 3.1.1) reads it.
BOOST_AUTO_TEST_CASE(comma_separated_cells_are_texts_where_one_of_a_column_is) {
  BOOST_TEST(cells("x,y\n") == R"( 1 {"a":"x","b":"y"})"
                               "\n");
  BOOST_TEST(cells("x,\"1,\n\"\"2\"\r\n\r\n  \n y ,z") == R"( 1 {"a":"x","b":"1,\n\"2"})"
                                                          "\n"
                                                          R"( 2 {"a":" y ","b":"z"})"
                                                          "\n");
  BOOST_TEST(cells("x\"y\",\"z\"w\rq, \"r\"\r") == R"( 1 {"a":"x\"y\"","b":"zw"})"
                                                   "\n"
                                                   R"( 2 {"a":"q","b":" \"r\""})"
                                                   "\n");
  BOOST_TEST(cells("x\n\"NA\",n/a\n\"\",x\n") == R"( 1 {"a":"x","b":null})"
                                                 "\n"
                                                 R"( 2 {"a":null,"b":null})"
                                                 "\n"
                                                 R"( 3 {"a":null,"b":"x"})"
                                                 "\n");
  BOOST_TEST(cells("1,x\n,2\n-3.5e1 ,3\n") == R"( 1 {"a":1.0,"b":"x"})"
                                              "\n"
                                              R"( 2 {"a":null,"b":"2"})"
                                              "\n"
                                              R"( 3 {"a":-35.0,"b":"3"})"
                                              "\n");
  BOOST_TEST(cells("1, nan\n+inf,\n") == R"( 1 {"a":1.0,"b":" nan"})"
                                         "\n"
                                         R"( 2 {"a":null,"b":null})"
                                         "\n");
  BOOST_TEST(cells("True,0x10\nFALSE,\n") == R"( 1 {"a":true,"b":"0x10"})"
                                             "\n"
                                             R"( 2 {"a":false,"b":null})"
                                             "\n");
  BOOST_TEST(cells("True,1,000\n1,\n") ==
             " 1 has 3 cells, but the file names 2 columns\n"
             R"( 2 {"a":"1","b":null})"
             "\n");
  BOOST_TEST(
      has(read("a.csv", "\xef\xbb\xbf,b\nx,\xff\n"), "record 1 is not valid UTF-8"));
  BOOST_TEST(has(read("a.csv", "\xef\xbb\xbf,b\nx,y\n"), R"({"Unnamed: 0":"x")"));
  BOOST_TEST(
      has(read("a.csv", "a,b\nx,y\nz,\"\n"), "quoted text behind record 1 does not end"));
  BOOST_TEST(has(read("a.csv", "a,a\nx,y\n"), "names the column 'a' twice"));
  for (const char* nothing : {"", "a,b\n", "\n\n"})
    BOOST_TEST(has(read("a.csv", nothing), "has no record"));
}

// As pyarrow reads lines and pandas reads lists; see json_test.cpp.
BOOST_AUTO_TEST_CASE(numbers_and_texts_are_read_as_the_reference_reads_them) {
  BOOST_TEST(read("a.jsonl", "{\"a\":\"x\",\"s\":NaN}\n{\"a\":\"y\",\"s\":-Inf}\n") ==
             "a.jsonl:1 {\"a\":\"x\",\"s\":null}\na.jsonl:2 {\"a\":\"y\",\"s\":null}\n");
  BOOST_TEST(read("a.json", "[{\"a\":\"x\\ud800\",\"a\":\"l\n\\ud800\",\"s\":NaN}]") ==
             "a.json, record 1 {\"a\":\"l\\n\",\"s\":null}\n");
  for (const char* line : {R"({"a":"\ud800"})", R"({"a":1,"a":2})", R"({"a":1e999})"}) {
    const std::string told = read("a.jsonl", std::string("{}\n") + line + "\n");
    BOOST_TEST(told.find("a.jsonl:2 ") != told.npos, told);
    BOOST_TEST(told.find(line) == told.npos, told);
  }
}

BOOST_AUTO_TEST_CASE(malformed_records_are_told_from_malformed_files) {
  BOOST_TEST(has(read("a.jsonl", "{\"x\":1}\n{\"x\":\n"), "a.jsonl:2 not valid JSON"));
  BOOST_TEST(has(read("a.jsonl", "{\"x\":1}\n[1]\n"), "a.jsonl:2 is a array"));
  BOOST_TEST(has(read("a.jsonl", "{\"x\":1}\n{\"a\":1,\"a\":2}"), "is given twice"));
  BOOST_TEST(has(read("a.txt", "good\nb\xff"), "a.txt:2 is not valid UTF-8 from byte 1"));
  BOOST_TEST(has(read("a.json", "[{\"x\":\"\xff\"}]"), "not valid UTF-8"));
  BOOST_TEST(has(read("a.json", "[{\"x\":1},"), "ends within element 2"));
  BOOST_TEST(has(read("a.json", "[{\"x\":1}] x"), "goes on behind its list"));
  BOOST_TEST(has(read("a.json", "[{\"x\":1"), "ends within element 1"));
  BOOST_TEST(has(read("a.json", "[\"x"), "ends within element 1"));
  BOOST_TEST(has(read("a.json", "[1}"), "ends with '}'"));
  BOOST_TEST(has(read("a.json", "3"), "holds no list"));
  BOOST_TEST(has(read("a.json", "[]"), "has no record"));
  BOOST_TEST(has(read("a.json", "\xef\xbb\xbf[{}]"), "byte order mark"));
  BOOST_TEST(has(read("a.txt", ""), "has no record"));
  for (const char* name : {"a.tsv", "a.parquet", "a.arrow"})
    BOOST_TEST(has(read(name, "x"), "is not supported"));
  BOOST_TEST(has(test::user_error([&] { RecordFile("/none/a.json"); }),
                 "cannot open /none/a.json: No such file"));
}

BOOST_AUTO_TEST_CASE(entries_give_files_columns_and_tags) {
  const test::ScratchFolder folder;
  folder.write("dataset_info.json", R"({
    "a": {"file_name": "a.json", "num_samples": 3},
    "b": {"file_name": "sub/b.txt", "columns": {"prompt": "text", "query": null}},
    "c": {"file_name": "c", "formatting": "sharegpt", "tags": {"role_tag": "role"}}})");
  std::filesystem::create_directory(folder / "c");
  folder.write("c/2.jsonl", "");
  folder.write("c/1.jsonl", "");
  const auto entries = read_dataset_info(folder.path(), {"b", "a", "c"}, Stage::kPt);
  BOOST_TEST(entries.size() == 3u);
  BOOST_TEST(entries[0].paths[0] == folder / "sub/b.txt");
  BOOST_TEST(entries[0].columns.prompt == "text");
  BOOST_TEST(entries[0].columns.query == "");
  BOOST_TEST(entries[0].columns.response == "");
  BOOST_TEST(entries[1].columns.query == "input");
  BOOST_TEST(entries[1].columns.history == "");
  BOOST_TEST(entries[1].num_samples.value() == 3);
  BOOST_TEST(entries[2].paths ==
             (std::vector<std::string>{folder / "c/1.jsonl", folder / "c/2.jsonl"}));
  BOOST_TEST(entries[2].columns.messages == "conversations");
  BOOST_TEST(entries[2].tags.role == "role");
  BOOST_TEST(entries[2].tags.user == "");
}

BOOST_AUTO_TEST_CASE(entries_that_are_not_supported_are_refused) {
  BOOST_TEST(info_error(R"({"file_name": "a.json"})") == "");
  BOOST_TEST(has(info_error("{}", Stage::kSft, "sat"), "did you mean 'set'?"));
  BOOST_TEST(has(info_error("{}"), "set has no member 'file_name'"));
  BOOST_TEST(has(info_error("3"), "set must be an object"));
  BOOST_TEST(has(info_error(R"({"hf_hub_url": "x/y"})"), "hf_hub_url is not supported"));
  BOOST_TEST(has(info_error(R"({"file_name": "a", "num_samples": 0})"), "num_samples"));
  BOOST_TEST(has(info_error(R"({"file_name": "a", "formatting": "llama"})"),
                 "known are alpaca, sharegpt and openai"));
  BOOST_TEST(has(info_error(R"({"file_name": "a", "ranking": true})"), "stage dpo only"));
  BOOST_TEST(
      has(info_error(R"({"file_name": "a"})", Stage::kDpo), "needs preference pairs"));
  BOOST_TEST(
      has(info_error(R"({"file_name": "a", "columns": {"images": "i"}})"), "images"));
  BOOST_TEST(
      has(info_error(R"({"file_name": "a", "columns": {"prompt": 1}})"), "a string"));
  BOOST_TEST(has(info_error("{"), "dataset_info.json: "));
}

BOOST_AUTO_TEST_CASE(alpaca_records_become_conversations) {
  BOOST_TEST(convert(R"({"instruction":"a","input":"b","output":"c"})") == "Ua\nb|>Ac#");
  BOOST_TEST(convert(R"({"instruction":"a","input":"","output":""})") == "Ua|>A#");
  BOOST_TEST(convert(R"({"instruction":null,"input":"b","output":"c","system":"s"})") ==
             "Ub|>Ac#s");
  BOOST_TEST(convert(R"({"instruction":"a","output":null})") == "reason: has no answer");
  BOOST_TEST(
      convert(R"({"instruction":"a","output":"b","history":[["p","q"],["r","s"]]})") ==
      "Up|Aq|Ur|As|Ua|>Ab#");
  BOOST_TEST(convert(R"({"instruction":"a","output":"b","history":null,"tools":"[]"})") ==
             "Ua|>Ab#[]");
}

BOOST_AUTO_TEST_CASE(conversations_keep_their_roles) {
  const auto chat = chat_entry(Formatting::kSharegpt);
  BOOST_TEST(convert(chat, R"({"conversations":[{"from":"system","value":"s"},
      {"from":"human","value":"a"},{"from":"function_call","value":"f"},
      {"from":"observation","value":"o"},{"from":"gpt","value":"b"}]})") ==
             "Ua|Ff|Oo|>Ab#s");
  BOOST_TEST(convert(chat, R"({"conversations":[{"from":"human","value":"a"}]})") ==
             "reason: ends with the wrong role");
  BOOST_TEST(convert(chat, R"({"conversations":[{"from":"gpt","value":"a"}]})") ==
             "reason: message 1 has not the role of its turn");
  BOOST_TEST(convert(chat, R"({"conversations":[{"from":"x","value":"a"}]})") ==
             "reason: message 1 has the role 'x'");
  const auto ranked = chat_entry(Formatting::kSharegpt, true);
  BOOST_TEST(convert(ranked, R"({"conversations":[{"from":"human","value":"a"}],
      "chosen":{"from":"gpt","value":"c"},"rejected":{"from":"gpt","value":"d"}})") ==
             "Ua|>Ac>Ad#");
}

BOOST_AUTO_TEST_CASE(tool_calls_of_openai_records_become_text) {
  auto chat = chat_entry(Formatting::kOpenai);
  BOOST_TEST(convert(chat, R"({"conversations":[{"from":"human","value":"a"},
      {"from":"gpt","value":"","tool_calls":[{"function":{"name":"f","arguments":{}}}]},
      {"from":"observation","value":"1"},{"from":"observation","value":"2"},
      {"from":"gpt","value":"b"}],"tools":[{"x":1.0}]})") ==
             "Ua|F[{\"name\": \"f\", \"arguments\": {}}]|"
             "O1\n</tool_response>\n<tool_response>\n2|>Ab#[{\"x\": 1.0}]");
}

BOOST_AUTO_TEST_CASE(malformed_records_are_faults) {
  const auto fault = [](const std::string& record, const std::string& what) {
    const std::string error = convert(record);
    BOOST_TEST(has(error, "fault: "), error);
    BOOST_TEST(has(error, what), error);
  };
  fault(R"({"instruction":5,"output":"b"})", "'instruction' is of type number, not text");
  fault(R"({"instruction":["a"],"output":"b"})", "'instruction' is of type array");
  fault(R"({"instruction":"a","output":{"x":1}})", "'output' is of type object");
  fault(R"({"instruction":"a","output":"b","system":false})", "'system' is of type bool");
  fault(R"({"instruction":"a","output":"b","history":[["x","y","z"]]})",
        "pairs of texts");
  fault(R"({"instruction":"a","output":"b","history":["xy"]})", "pairs of texts");
  fault(R"({"instruction":"a","output":"b","history":3})", "'history' is no list");
  fault(R"({"instruction":"a","output":"b","tools":[]})", "'tools' is of type array");
  const auto chat = chat_entry(Formatting::kSharegpt);
  for (const char* record :
       {R"({"conversations":null})", R"({"conversations":"x"})",
        R"({"conversations":[3]})", R"({"conversations":[{"from":"human"}]})",
        R"({"conversations":[{"from":"human","value":null}]})"})
    BOOST_TEST(has(convert(chat, record), "fault: "), record);
}

BOOST_AUTO_TEST_CASE(columns_no_record_has_and_columns_of_dates_are_refused) {
  const DatasetEntry entry = alpaca_entry();
  const auto fault = [&](const std::string& record, RecordLayout layout) {
    Columns columns(entry);
    make_converter(entry)->convert(OrderedJson::parse(record), columns);
    return column_fault(entry, layout, columns.facts());
  };
  BOOST_TEST(has(fault(R"({"instruction":"a","output":null})", RecordLayout::kJson),
                 "no record of set.json has the column 'input'"));
  const std::string dates =
      R"({"instruction":"2020-01-31T10:00:00","input":null,"output":"b","history":[],
          "system":"","tools":""})";
  BOOST_TEST(has(fault(dates, RecordLayout::kLines), "looks like a date"));
  BOOST_TEST(fault(dates, RecordLayout::kJson) == "");
}

BOOST_AUTO_TEST_SUITE_END()
