// Datasets that are wrong, huge or odd: each gives a clear count or error.
#include <boost/test/unit_test.hpp>
#include <filesystem>

#include "fixtures.hpp"
#include "mtrain/data/prepare.hpp"
#include "mtrain/data/token_store.hpp"

using namespace mtrain;
using namespace mtrain::data;

namespace {

// Prepares one JSON Lines file of `lines` behind a good record.
struct Hostile {
  test::ScratchFolder folder;
  PrepareOptions options;

  explicit Hostile(const std::string& lines) {
    test::write_small_tokenizer(folder);
    folder.write("dataset_info.json", R"({"set": {"file_name": "set.jsonl"}})");
    folder.write("set.jsonl", record("a", "b") + lines);
    options = test::sft_options(folder, "set");
    options.cutoff_len = 64;
  }

  static std::string record(const std::string& ask, const std::string& answer) {
    return R"({"instruction":")" + ask + R"(","input":"","output":")" + answer + "\"}\n";
  }
  PrepareStats stats() const { return prepare(options)[0].stats; }
  std::string error() const {
    return test::user_error([&] { prepare(options); });
  }
};

void check_fault(const std::string& lines, const std::string& what) {
  const Hostile hostile(lines);
  const std::string error = hostile.error();
  BOOST_TEST(error.find("1 malformed record:") != error.npos, error);
  BOOST_TEST(error.find("set.jsonl:2: ") != error.npos, error);
  BOOST_TEST(error.find(what) != error.npos, error);
  BOOST_TEST(error.size() < 1000u);
  PrepareOptions skipping = hostile.options;
  skipping.skip_malformed = true;
  const PreparedStore store = prepare(skipping)[0];
  BOOST_TEST(store.stats.malformed == 1);
  BOOST_TEST(store.stats.samples == 1);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(hostile_data)

BOOST_AUTO_TEST_CASE(bytes_that_are_no_text) {
  check_fault(Hostile::record("\xff\xfe", "b"), "invalid string");
}

BOOST_AUTO_TEST_CASE(text_that_is_no_json) {
  check_fault("{\"instruction\": \n", "not valid JSON");
}

BOOST_AUTO_TEST_CASE(deep_nesting) {
  check_fault("{\"x\":" + std::string(1000000, '[') + "\n", "nested deeper than 64");
}

BOOST_AUTO_TEST_CASE(keys_given_twice) {
  check_fault(R"({"instruction":"a","instruction":"b","output":"c"})"
              "\n",
              "\"instruction\" is given twice");
}

BOOST_AUTO_TEST_CASE(objects_with_very_many_keys) {
  std::string line = "{\"output\":\"\"";
  for (int i = 0; i < 20000; ++i) line += ",\"k" + std::to_string(i) + "\":1";
  check_fault(line + "}\n", "more than 16384 keys");
}

BOOST_AUTO_TEST_CASE(wrong_types) {
  check_fault("[1]\n", "is a array, not an object");
  check_fault(R"({"instruction":{"a":1},"output":"c"})"
              "\n",
              "'instruction' is of type object, not text");
}

BOOST_AUTO_TEST_CASE(missing_columns) {
  Hostile hostile("");
  hostile.folder.write("dataset_info.json", R"({"set": {"file_name": "set.jsonl",
    "columns": {"prompt": "question", "response": "output"}}})");
  BOOST_TEST(hostile.error().find("has the column 'question'") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_huge_line) {
  const Hostile hostile(Hostile::record(std::string(5000000, 'x'), "b"));
  const PrepareStats stats = hostile.stats();
  BOOST_TEST(stats.samples == 2);
  BOOST_TEST(stats.truncated == 1);
  BOOST_TEST(TokenStoreReader(hostile.options.output_path).sample_length(1) == 64);
}

// Of which nothing but zeros is on the disk.
BOOST_AUTO_TEST_CASE(a_record_longer_than_memory_allows) {
  const Hostile hostile("{");
  const std::string path = hostile.folder / "set.jsonl";
  std::filesystem::resize_file(path, (1 << 28) + 100);
  const std::string error = hostile.error();
  BOOST_TEST(error.find("set.jsonl: record 2 has 2684") != error.npos, error);
  BOOST_TEST(error.find("more than 268435456") != error.npos, error);
}

BOOST_AUTO_TEST_CASE(empty_answers_and_no_answers) {
  const PrepareStats stats =
      Hostile(Hostile::record("a", "") + R"({"instruction":"a","output":null})").stats();
  BOOST_TEST(stats.empty_answers == 1);
  BOOST_TEST(stats.dropped == 1);
  BOOST_TEST(stats.samples == 2);
}

BOOST_AUTO_TEST_CASE(special_tokens_in_texts) {
  const PrepareStats stats =
      Hostile(Hostile::record("a<|im_end|>\\n<|im_start|>system", "b") +
              Hostile::record("<think>", "not special"))
          .stats();
  BOOST_TEST(stats.special_tokens == 1);
  BOOST_TEST(stats.samples == 3);
}

BOOST_AUTO_TEST_CASE(nul_characters) {
  BOOST_TEST(Hostile(Hostile::record("a\\u0000b", "c")).stats().nul_characters == 1);
  check_fault(Hostile::record(std::string("a\0b", 3), "c"), "not valid JSON");
}

BOOST_AUTO_TEST_CASE(conversations_without_use_are_dropped_and_shown) {
  Hostile hostile("");
  hostile.folder.write(
      "dataset_info.json",
      R"({"set": {"file_name": "set.jsonl", "formatting": "sharegpt"}})");
  hostile.folder.write(
      "set.jsonl",
      R"({"conversations":[{"from":"human","value":"a"},{"from":"gpt","value":"b"}]})"
      "\n"
      R"({"conversations":[{"from":"human","value":"a"}]})"
      "\n");
  const PreparedStore store = prepare(hostile.options)[0];
  BOOST_TEST(store.stats.dropped == 1);
  BOOST_REQUIRE(store.left_out.size() == 1u);
  BOOST_TEST(
      store.left_out[0].ends_with("set.jsonl:2: dropped: ends with the wrong role"));
}

BOOST_AUTO_TEST_SUITE_END()
