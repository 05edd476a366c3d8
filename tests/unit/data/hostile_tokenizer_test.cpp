// Malformed tokenizer files and options that are not implemented: refused by name and
// place.
#include <boost/test/unit_test.hpp>
#include <random>

#include "fixtures.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/data/tokenizer.hpp"

using namespace mtrain;
using data::Tokenizer;
using nlohmann::json;

namespace {

std::string error_of(const std::string& file, const std::string& config = "{}") {
  const test::ScratchFolder folder;
  folder.write("tokenizer.json", file);
  folder.write("tokenizer_config.json", config);
  return test::user_error([&] { Tokenizer::load(folder.path()); });
}

// Loads the small tokenizer after `change` and expects a message with `what` in it.
void check_refused(const std::function<void(json&)>& change, const std::string& what) {
  json file = test::small_tokenizer();
  change(file);
  const std::string error = error_of(file.dump());
  BOOST_TEST(error.find("tokenizer.json: ") != error.npos, error);
  BOOST_TEST(error.find(what) != error.npos, "'" << error << "' lacks '" << what << "'");
}

void check_config_refused(const std::string& config, const std::string& what) {
  const std::string error = error_of(test::small_tokenizer().dump(), config);
  BOOST_TEST(error.find("tokenizer_config.json: ") != error.npos, error);
  BOOST_TEST(error.find(what) != error.npos, "'" << error << "' lacks '" << what << "'");
}

}  // namespace

BOOST_AUTO_TEST_SUITE(hostile_tokenizer)

BOOST_AUTO_TEST_CASE(missing_and_truncated_files_are_refused) {
  const test::ScratchFolder folder;
  const auto error = test::user_error([&] { Tokenizer::load(folder.path()); });
  BOOST_TEST(error.find("tokenizer.json: No such file") != error.npos, error);
  const std::string whole = test::small_tokenizer().dump();
  for (size_t size = 0; size < whole.size(); size += 701)
    BOOST_TEST(error_of(whole.substr(0, size)).find("tokenizer.json: ") != error.npos);
  BOOST_TEST(error_of("[]").find("must hold a JSON object") != error.npos);
  BOOST_TEST(error_of(std::string(100000, '[')).find("nested deeper") != error.npos);
  BOOST_TEST(error_of(R"({"model": {}, "model": {}})").find("is given twice") !=
             error.npos);
}

BOOST_AUTO_TEST_CASE(wrong_types_are_refused) {
  check_refused([](json& f) { f["model"] = 5; }, "model must be an object");
  check_refused([](json& f) { f["model"].erase("vocab"); }, "has no member 'vocab'");
  check_refused([](json& f) { f["model"]["vocab"] = json::array(); },
                "vocab must be an object");
  check_refused([](json& f) { f["model"]["vocab"]["a"] = "1"; },
                "[\"a\"] must be a whole");
  check_refused([](json& f) { f["model"]["vocab"]["a"] = 1.5; },
                "[\"a\"] must be a whole");
  check_refused([](json& f) { f["model"]["merges"] = 1; }, "merges must be a list");
  check_refused([](json& f) { f["model"]["merges"][1] = 7; }, "merges[1] must be");
  check_refused([](json& f) { f["added_tokens"][0] = "x"; },
                "added_tokens[0] must be an obj");
  check_refused([](json& f) { f["added_tokens"][0]["special"] = 1; },
                "must be true or false");
}

BOOST_AUTO_TEST_CASE(ids_out_of_range_or_taken_are_refused) {
  check_refused([](json& f) { f["model"]["vocab"]["a"] = -1; }, "is -1, not within");
  check_refused([](json& f) { f["model"]["vocab"]["a"] = 4000000000u; }, "not within");
  check_refused([](json& f) { f["model"]["vocab"]["a"] = UINT64_MAX; }, "not within");
  check_refused([](json& f) { f["model"]["vocab"]["a"] = f["model"]["vocab"]["b"]; },
                "which is taken already");
  check_refused([](json& f) { f["added_tokens"][0]["id"] = 3; },
                "which is taken already");
  check_refused([](json& f) { f["added_tokens"][0]["content"] = "a"; },
                "in the vocabulary");
  check_refused([](json& f) { f["added_tokens"][0]["content"] = ""; }, "is empty");
  check_refused([](json& f) { f["added_tokens"][0]["content"] = "<think>"; },
                "repeats the content");
}

BOOST_AUTO_TEST_CASE(merges_of_unknown_tokens_are_refused) {
  check_refused([](json& f) { f["model"]["merges"][2] = "a zz"; },
                "merges[2] names 'zz'");
  check_refused([](json& f) { f["model"]["merges"][2] = "a o"; }, "merges[2] names 'ao'");
  check_refused([](json& f) { f["model"]["merges"][2] = "ab"; }, "one space between");
  check_refused([](json& f) { f["model"]["merges"][2] = "a b c"; }, "one space between");
  check_refused(
      [](json& f) {
        f["model"]["merges"][2] = {"a", "b", "c"};
      },
      "must be a pair");
  check_refused(
      [](json& f) {
        f["model"]["merges"][2] = {"a", 1};
      },
      "must hold two strings");
}

BOOST_AUTO_TEST_CASE(a_vocabulary_must_know_every_byte) {
  check_refused([](json& f) { f["model"]["vocab"].erase("~"); }, "no token for byte 126");
}

BOOST_AUTO_TEST_CASE(what_is_not_implemented_is_refused_by_name) {
  check_refused([](json& f) { f["model"]["type"] = "WordPiece"; },
                "model.type is 'WordPiece'");
  check_refused([](json& f) { f["model"]["dropout"] = 0.1; },
                "model.dropout is not supported");
  check_refused([](json& f) { f["model"]["ignore_merges"] = true; },
                "model.ignore_merges");
  check_refused([](json& f) { f["normalizer"]["type"] = "NFKC"; }, "'NFKC'");
  check_refused([](json& f) { f["decoder"]["type"] = "Metaspace"; }, "'Metaspace'");
  check_refused(
      [](json& f) {
        f["post_processor"] = {{"type", "Unheard"}};
      },
      "post_processor.type is 'Unheard'");
  check_refused(
      [](json& f) { f["pre_tokenizer"]["pretokenizers"][0]["behavior"] = "Removed"; },
      "behavior is not supported");
  check_refused([](json& f) { f["pre_tokenizer"]["pretokenizers"][0]["invert"] = true; },
                "invert is not supported");
  check_refused([](json& f) { f["pre_tokenizer"]["pretokenizers"].clear(); },
                "has 0 steps");
  check_refused(
      [](json& f) { f["pre_tokenizer"]["pretokenizers"][1]["add_prefix_space"] = true; },
      "add_prefix_space");
  check_refused(
      [](json& f) {
        f["pre_tokenizer"]["pretokenizers"][0]["pattern"] = {{"Regex", "(a"}};
      },
      "malformed pattern");
}

BOOST_AUTO_TEST_CASE(configs_that_contradict_the_tokenizer_are_refused) {
  check_config_refused("5", "must hold a JSON object");
  check_config_refused(R"({"eos_token": 3})", "eos_token must be a string");
  check_config_refused(R"({"add_prefix_space": true})", "add_prefix_space is not");
  for (const char* content : {"<think>", "<new>"})
    check_config_refused(std::string(R"({"added_tokens_decoder": {"3": {"content": ")") +
                             content + "\"}}}",
                         "not the same in tokenizer.json");
  for (const char* id : {"x", "-1", "16777216", "99999999999", "1 ", ""})
    check_config_refused(std::string(R"({"added_tokens_decoder": {")") + id +
                             R"(": {"content": "<new>"}}})",
                         "is no id within 0");
}

BOOST_AUTO_TEST_CASE(any_flipped_byte_gives_a_tokenizer_or_a_message) {
  const std::string whole = test::small_tokenizer().dump();
  std::mt19937 random(1);
  for (int round = 0; round < 1000; ++round) {
    std::string damaged = whole;
    damaged[random() % damaged.size()] ^= static_cast<char>(1u << random() % 8);
    error_of(damaged);
  }
}

BOOST_AUTO_TEST_SUITE_END()
