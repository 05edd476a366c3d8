// Damaged JSON, tokenizers, datasets and token stores end in UserError or are read, never
// in anything else.
#define BOOST_TEST_MODULE data_fuzz
#include <boost/test/unit_test.hpp>

#include "fuzz.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/base/json.hpp"
#include "mtrain/data/prepare.hpp"
#include "unit/data/fixtures.hpp"

using namespace mtrain;
using namespace mtrain::data;
using test::fuzz;

namespace {

/// A folder with the small tokenizer and a dataset "set" in the file `name`.
struct Inputs {
  explicit Inputs(const std::string& name, const std::string& entry = "") {
    test::write_small_tokenizer(folder);
    folder.write("dataset_info.json",
                 R"({"set": {"file_name": ")" + name + "\"" + entry + "}}");
  }
  PrepareOptions options(Stage stage) const {
    PrepareOptions options = test::sft_options(folder, "set");
    options.stage = stage;
    options.cutoff_len = 16;
    return options;
  }
  test::ScratchFolder folder;
};

/// Prepares a dataset whose file `name` holds damaged forms of the texts, strictly and
/// with malformed records left out by turns.
void fuzz_dataset(const std::string& name, const std::string& entry, Stage stage,
                  const std::vector<std::string>& texts) {
  const Inputs inputs(name, entry);
  PrepareOptions options = inputs.options(stage);
  fuzz(texts, 150, [&](const std::string& bytes) {
    inputs.folder.write(name, bytes);
    options.skip_malformed = !options.skip_malformed;
    prepare(options);
  });
}

const char* const kMessages = R"(, "formatting": "sharegpt",
    "columns": {"messages": "m", "system": "s", "tools": "t"})";

}  // namespace

BOOST_AUTO_TEST_CASE(json) {
  const std::vector<std::string> texts = {
      R"({"a": [1, -2.5e3, "\u00e9\n", null, true], "b": {"c": {}}})",
      R"([{"x": 123456789012345678901234567890}, "\ud83d\ude00", []])",
      test::small_tokenizer().dump()};
  using D = JsonDialect;
  for (const D dialect : {D::kStrict, D::kPython, D::kPythonText, D::kArrow})
    fuzz(texts, 600,
         [&](const std::string& text) { parse_ordered_json(text, "here", dialect); });
  fuzz({texts[0], texts[2], R"([{"x": 007, "x": NaN}, -Infinity, "\ud800", 5.])"}, 600,
       [](const std::string& text) { parse_ordered_json(text, "here", D::kPandas); });
  fuzz(texts, 1000, [](const std::string& text) {
    const bool known = Json::accept(text);
    try {
      const Json value = parse_json(text, "here");
      BOOST_TEST((known && value == Json::parse(text)), text);
    } catch (const UserError& error) {
      const std::string why = error.what();
      const bool ours =
          why.find("given twice") != why.npos || why.find("nested deeper") != why.npos;
      BOOST_TEST((ours || !known), text << ": " << why);
      throw;
    }
  });
}

// The targets that libFuzzer has, too.
BOOST_AUTO_TEST_CASE(stores) {
  fuzz("store", 30000);
}

BOOST_AUTO_TEST_CASE(tokenizers) {
  fuzz("tokenizer", 2000);
  fuzz("tokenizer_config", 1000);
}

BOOST_AUTO_TEST_CASE(records) {
  for (const char* name : {"records_json", "records_jsonl", "records_csv",
                           "records_sharegpt", "records_openai"})
    fuzz(name, 8000);
}

BOOST_AUTO_TEST_CASE(dataset_lists) {
  const Inputs inputs("set.json");
  inputs.folder.write("set.json", R"([{"instruction":"a","input":"","output":"x"}])");
  const std::vector<std::string> texts = {
      R"({"set": {"file_name": "set.json", "num_samples": 3}})",
      R"({"set": {"file_name": "set.json", "formatting": "alpaca", "columns":
         {"prompt": "instruction", "response": "output"}, "tags": {"role_tag": "r"}}})"};
  fuzz(texts, 200, [&](const std::string& text) {
    inputs.folder.write("dataset_info.json", text);
    prepare(inputs.options(Stage::kSft));
  });
}

BOOST_AUTO_TEST_CASE(alpaca_records) {
  const std::string one =
      R"({"instruction":"a","input":"b","output":"x","history":[["q","r"]]})";
  const std::string two = R"({"instruction":"é\n","input":"","output":"2020-01-02"})";
  const std::string columns = R"(, "columns": {"prompt": "instruction",
    "query": "input", "response": "output", "history": "history"})";
  fuzz_dataset("set.json", columns, Stage::kSft, {"[" + one + ",\n" + two + "]", one});
  fuzz_dataset("set.jsonl", columns, Stage::kSft, {one + "\n" + two + "\n"});
  fuzz_dataset("set.csv", "", Stage::kSft,
               {"instruction,input,output\na,\"b,\n\"\"c\",1\r\n\nd,,x\n",
                "\xef\xbb\xbfinstruction,input,output,n\na,b,c,1\n,d,NA,-2.5e3\n"});
  fuzz_dataset("set.txt", R"(, "columns": {"prompt": "text"})", Stage::kPt,
               {"one line\nanother\r\nthird longer line\r"});
}

BOOST_AUTO_TEST_CASE(conversations) {
  const std::string talk = R"({"s": "be", "t": "[{\"name\": \"f\", \"parameters\": {}}]",
    "m": [{"from": "human", "value": "a"}, {"from": "function_call",
    "value": "{\"name\": \"f\", \"arguments\": {\"x\": 1e40}}"},
    {"from": "observation", "value": "1"}, {"from": "gpt", "value": "<think>\nx"}]})";
  fuzz_dataset("set.json", kMessages, Stage::kSft, {"[" + talk + "," + talk + "]"});
  fuzz_dataset(
      "set.json", R"(, "formatting": "openai", "columns": {"messages": "m",
    "tools": "t"}, "tags": {"role_tag": "role", "content_tag": "content",
    "user_tag": "user", "assistant_tag": "assistant", "observation_tag": "tool",
    "function_tag": "f", "system_tag": "system"})",
      Stage::kSft,
      {R"([{"t": [{"type": "function"}], "m": [{"role": "system", "content": "s"},
    {"role": "user", "content": "a"}, {"role": "assistant", "content": "", "tool_calls":
    [{"function": {"name": "f", "arguments": {"x": [1, 2.5, null]}}}]},
    {"role": "tool", "content": "1"}, {"role": "assistant", "content": "x"}]}])"});
  fuzz_dataset("set.json", R"(, "ranking": true, "formatting": "sharegpt", "columns":
    {"messages": "m", "chosen": "c", "rejected": "r"})",
               Stage::kDpo,
               {R"([{"m": [{"from": "human", "value": "a"}], "c": {"from": "gpt",
    "value": "b"}, "r": {"from": "gpt", "value": ""}}])"});
}
