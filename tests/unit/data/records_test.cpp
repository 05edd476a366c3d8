// dataset_info.json, record files and the alpaca converter.
#include <boost/test/unit_test.hpp>

#include "alpaca.hpp"
#include "dataset_info.hpp"
#include "fixtures.hpp"
#include "record_reader.hpp"

using namespace mtrain;
using namespace mtrain::data;

namespace {

// The records of a file as "number:json", or the faults.
std::string read(const std::string& name, const std::string& bytes) {
  const test::ScratchFolder folder;
  const std::string path = folder.write(name, bytes);
  FaultLog faults;
  std::string all;
  const auto error = test::user_error([&] {
    read_records(path, faults, [&](Record&& record) {
      all += std::to_string(record.number) + ":" + record.value.dump() + "\n";
    });
    faults.throw_if_any();
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
  return {"set",
          "set.json",
          Formatting::kAlpaca,
          {"instruction", "input", "output", "history", "system", "tools"}};
}

// The conversation of a record, as "user|assistant|...>response#system".
std::string convert(const std::string& record) {
  const DatasetEntry entry = alpaca_entry();
  FaultLog faults;
  AlpacaConverter converter(entry, faults);
  AlignedRecord aligned;
  if (!converter.convert({OrderedJson::parse(record), 3}, aligned))
    return test::user_error([&] { faults.throw_if_any(); });
  std::string text;
  for (const auto& message : aligned.prompt) text += message.content + "|";
  for (const auto& message : aligned.response) text += ">" + message.content;
  return text + "#" + aligned.system;
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != text.npos;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(records)

BOOST_AUTO_TEST_CASE(lists_lines_and_single_objects_are_read) {
  BOOST_TEST(read("a.json", R"([{"x":1}, {"x":2}])") == "1:{\"x\":1}\n2:{\"x\":2}\n");
  BOOST_TEST(read("a.json", "{\n\"x\": 1\n}\n") == "1:{\"x\":1}\n");
  BOOST_TEST(read("a.json", "{\"x\":1}") == "1:{\"x\":1}\n");
  BOOST_TEST(read("a.json", "{\"x\":1}\n{\"x\":2}") == "1:{\"x\":1}\n2:{\"x\":2}\n");
  BOOST_TEST(read("a.jsonl", "[{\"x\":1}]") == "1:{\"x\":1}\n");
  BOOST_TEST(read("a.jsonl", "\xef\xbb\xbf{\"x\":1}\r\n\r\n \n{\"x\":2}") ==
             "1:{\"x\":1}\n4:{\"x\":2}\n");
}

BOOST_AUTO_TEST_CASE(text_lines_end_at_any_newline_but_at_nothing_else) {
  BOOST_TEST(
      read("a.txt", "a\r\nb\rc\n\nd\x0b\xe2\x80\xa8") ==
      "1:{\"text\":\"a\"}\n2:{\"text\":\"b\"}\n3:{\"text\":\"c\"}\n4:{\"text\":\"\"}\n"
      "5:{\"text\":\"d\\u000b\xe2\x80\xa8\"}\n");
  // A line end that falls between two blocks of the file.
  const std::string line(65535, 'x');
  BOOST_TEST(read("a.txt", line + "\r\ny") ==
             "1:{\"text\":\"" + line + "\"}\n2:{\"text\":\"y\"}\n");
}

BOOST_AUTO_TEST_CASE(malformed_lines_are_counted_and_shown) {
  std::string lines = "{\"x\":1}\n";
  for (int i = 0; i < 8; ++i) lines += "{\"x\":\n";
  const std::string error = read("a.jsonl", lines);
  BOOST_TEST(has(error, "8 malformed records"), error);
  BOOST_TEST(has(error, "a.jsonl, record 2: "), error);
  BOOST_TEST(has(error, "a.jsonl, record 6: "), error);
  BOOST_TEST(!has(error, "record 7: "), error);
  BOOST_TEST(has(error, "and 3 more"), error);
  BOOST_TEST(
      has(read("a.jsonl", "{\"x\":1}\n[1]\n"), "record 2: is a array, not an object"));
  BOOST_TEST(has(read("a.jsonl", "{\"x\":1}\n{\"a\":1,\"a\":2}"), "is given twice"));
  BOOST_TEST(
      has(read("a.txt", "good\nb\xff"), "record 2: is not valid UTF-8 from byte 1"));
}

BOOST_AUTO_TEST_CASE(unreadable_files_are_refused) {
  BOOST_TEST(has(read("a.json", "[{\"x\":1},"), "a.json: "));
  BOOST_TEST(has(read("a.json", "[]"), "has no record"));
  BOOST_TEST(has(read("a.txt", ""), "has no record"));
  BOOST_TEST(has(read("a.csv", "x"), "type '.csv' is not supported"));
  FaultLog faults;
  BOOST_TEST(has(test::user_error([&] { read_records("/none/a.json", faults, {}); }),
                 "cannot open /none/a.json: No such file"));
}

BOOST_AUTO_TEST_CASE(entries_give_path_and_columns) {
  const test::ScratchFolder folder;
  folder.write("dataset_info.json", R"({
    "a": {"file_name": "a.json"},
    "b": {"file_name": "sub/b.txt", "columns": {"prompt": "text", "query": null}}})");
  const auto entries = read_dataset_info(folder.path(), {"b", "a"}, Stage::kPt);
  BOOST_TEST(entries.size() == 2u);
  BOOST_TEST(entries[0].path == folder / "sub/b.txt");
  BOOST_TEST(entries[0].columns.prompt == "text");
  BOOST_TEST(entries[0].columns.query == "");
  BOOST_TEST(entries[0].columns.response == "");
  BOOST_TEST(entries[1].columns.query == "input");
  BOOST_TEST(entries[1].columns.history == "");
}

BOOST_AUTO_TEST_CASE(entries_that_are_not_supported_are_refused) {
  BOOST_TEST(info_error(R"({"file_name": "a.json"})") == "");
  BOOST_TEST(has(info_error("{}", Stage::kSft, "sat"), "did you mean 'set'?"));
  BOOST_TEST(has(info_error("{}"), "set has no member 'file_name'"));
  BOOST_TEST(has(info_error("3"), "set must be an object"));
  BOOST_TEST(has(info_error(R"({"hf_hub_url": "x/y"})"), "hf_hub_url is not supported"));
  BOOST_TEST(has(info_error(R"({"file_name": "a", "num_samples": 3})"), "num_samples"));
  BOOST_TEST(has(info_error(R"({"file_name": "a", "formatting": "sharegpt"})"),
                 "only 'alpaca' is supported so far"));
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
  BOOST_TEST(convert(R"({"instruction":"a","input":"b","output":"c"})") == "a\nb|>c#");
  BOOST_TEST(convert(R"({"instruction":"a","input":"","output":""})") == "a|>#");
  BOOST_TEST(convert(R"({"instruction":null,"input":"b","output":"c","system":"s"})") ==
             "b|>c#s");
  BOOST_TEST(convert(R"({"instruction":"a","output":null})") == "a|#");
  BOOST_TEST(
      convert(R"({"instruction":"a","output":"b","history":[["p","q"],["r","s"]]})") ==
      "p|q|r|s|a|>b#");
  BOOST_TEST(convert(R"({"instruction":"a","output":"b","history":null,"tools":""})") ==
             "a|>b#");
}

BOOST_AUTO_TEST_CASE(malformed_alpaca_records_are_faults) {
  const auto fault = [](const std::string& record, const std::string& what) {
    const std::string error = convert(record);
    BOOST_TEST(has(error, "set.json, record 3: "), error);
    BOOST_TEST(has(error, what), error);
  };
  fault(R"({"instruction":5,"output":"b"})", "'instruction' is a number, not a string");
  fault(R"({"instruction":["a"],"output":"b"})", "'instruction' is a array");
  fault(R"({"instruction":"a","output":{"x":1}})", "'output' is a object");
  fault(R"({"instruction":"a","output":"b","system":false})", "'system' is a boolean");
  fault(R"({"instruction":"a","output":"b","history":[["x","y","z"]]})",
        "pairs of strings");
  fault(R"({"instruction":"a","output":"b","history":["xy"]})", "pairs of strings");
  fault(R"({"instruction":"a","output":"b","history":3})", "'history' is no list");
  fault(R"({"instruction":"a","output":"b","tools":"[]"})",
        "tools are not supported yet");
}

BOOST_AUTO_TEST_CASE(a_column_no_record_has_is_refused) {
  const DatasetEntry entry = alpaca_entry();
  FaultLog faults;
  AlpacaConverter converter(entry, faults);
  AlignedRecord aligned;
  converter.convert({OrderedJson::parse(R"({"instruction":"a","output":null})"), 1},
                    aligned);
  BOOST_TEST(has(test::user_error([&] { converter.check_columns(); }),
                 "no record of set.json has the column 'input'"));
}

BOOST_AUTO_TEST_SUITE_END()
