// The tokenizer on a vocabulary small enough to work out by hand.
#include "mtrain/data/tokenizer.hpp"

#include <boost/test/unit_test.hpp>

#include "bpe.hpp"
#include "fixtures.hpp"
#include "mtrain/base/text.hpp"

using namespace mtrain;
using data::SpecialTokens;
using data::Tokenizer;
using nlohmann::json;
using Ids = std::vector<int32_t>;

namespace {

Tokenizer load(const json& file, const std::string& config = "{}") {
  const test::ScratchFolder folder;
  folder.write("tokenizer.json", file.dump());
  folder.write("tokenizer_config.json", config);
  return Tokenizer::load(folder.path());
}

// Spelling of ids by what they decode to: "abc| |x".
std::string pieces(const Tokenizer& tokenizer, std::string_view text) {
  std::string joined;
  for (const int32_t id : tokenizer.encode(text))
    joined +=
        (joined.empty() ? "" : "|") + tokenizer.decode({&id, 1}, SpecialTokens::kKeep);
  return joined;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tokenizer)

BOOST_AUTO_TEST_CASE(merges_apply_by_rank_within_words) {
  const Tokenizer tokenizer = load(test::small_tokenizer());
  BOOST_TEST(pieces(tokenizer, "abc") == "abc");
  BOOST_TEST(pieces(tokenizer, "bc") == "bc");
  BOOST_TEST(pieces(tokenizer, "aabcb") == "a|abc|b");
  BOOST_TEST(pieces(tokenizer, "low bc") == "low| |bc");
  BOOST_TEST(pieces(tokenizer, "x abc") == "x| |abc");  // "a b" outranks the space
  BOOST_TEST(pieces(tokenizer, "x a1") == "x| a|1");
  BOOST_TEST(pieces(tokenizer, "lo1w") == "lo|1|w");  // never across words
  BOOST_TEST(tokenizer.encode("").empty());
}

BOOST_AUTO_TEST_CASE(cached_and_long_words_give_the_same_ids) {
  const Tokenizer tokenizer = load(test::small_tokenizer());
  std::string text;
  for (int i = 0; i < 200; ++i) text += i % 3 == 0 ? "abc" : i % 3 == 1 ? "bca" : "lowlo";
  const Ids whole = tokenizer.encode(text);  // one word of 733 bytes: the heap
  BOOST_TEST(tokenizer.decode(whole, SpecialTokens::kKeep) == text);
  const Ids first = tokenizer.encode("abclow abclow");
  BOOST_TEST(tokenizer.encode("abclow abclow") == first);
}

// The two ways of merging must agree on any bytes.
BOOST_AUTO_TEST_CASE(short_and_long_words_merge_alike) {
  std::array<int32_t, 256> bytes;
  for (int i = 0; i < 256; ++i) bytes[static_cast<size_t>(i)] = i;
  const std::vector<data::MergeRule> rules = {{0, 1, 256}, {256, 256, 257},
                                              {1, 0, 258}, {257, 0, 259},
                                              {0, 0, 260}, {260, 260, 261}};
  data::Bpe bpe(bytes, rules);
  uint32_t state = 1;
  for (int round = 0; round < 300; ++round) {
    std::string word;
    for (int i = 0; i < 40; ++i)
      word += static_cast<char>((state = state * 1103515245 + 12345) >> 16 & 1);
    // A byte without merges ends the word; behind it a tail makes it too long for the
    // short way.
    Ids short_ids, long_ids;
    bpe.encode(word, short_ids);
    bpe.encode(word + std::string(40, '\x07'), long_ids);
    long_ids.resize(long_ids.size() - 40);
    BOOST_TEST(short_ids == long_ids);
  }
}

BOOST_AUTO_TEST_CASE(text_is_normalized_but_not_added_tokens) {
  json file = test::small_tokenizer();
  const Tokenizer tokenizer = load(file);
  BOOST_TEST(tokenizer.encode("e\u0301") == tokenizer.encode("\u00e9"));
  file["normalizer"] = nullptr;
  BOOST_TEST(load(file).encode("e\u0301").size() == 3u);
}

BOOST_AUTO_TEST_CASE(added_tokens_are_found_anywhere_longest_first) {
  json file = test::small_tokenizer();
  json longer = file["added_tokens"][0];
  longer["id"] = file["added_tokens"].back()["id"].get<int>() + 1;
  longer["content"] = "<think>abc";
  file["added_tokens"].push_back(longer);
  const Tokenizer tokenizer = load(file);
  BOOST_TEST(pieces(tokenizer, "x<|im_end|>y<think>ab") == "x|<|im_end|>|y|<think>|ab");
  BOOST_TEST(pieces(tokenizer, "<think>abcd") == "<think>abc|d");
  BOOST_TEST(*tokenizer.token_id("<think>abc") == longer["id"].get<int>());
  BOOST_TEST(!tokenizer.token_id("<nothing>"));
  BOOST_TEST(tokenizer.vocab_size() == longer["id"].get<int>() + 1);
}

BOOST_AUTO_TEST_CASE(added_tokens_strip_and_stand_alone_as_they_say) {
  json file = test::small_tokenizer();
  file["added_tokens"][0]["lstrip"] = true;
  file["added_tokens"][0]["rstrip"] = true;
  file["added_tokens"][3]["single_word"] = true;
  file["added_tokens"][3]["content"] = "word";
  const Tokenizer tokenizer = load(file);
  const int32_t stripping = file["added_tokens"][0]["id"].get<int>();
  const Ids ids = tokenizer.encode("x \u3000<|endoftext|>\n y");
  BOOST_TEST(ids.size() == 3u);
  BOOST_TEST(ids[1] == stripping);
  const int32_t word = file["added_tokens"][3]["id"].get<int>();
  const auto count = [&](const char* text) {
    const Ids found = tokenizer.encode(text);
    return std::count(found.begin(), found.end(), word);
  };
  BOOST_TEST(count("a word, word") == 2);
  BOOST_TEST(count("words sword word_ \u00e9word") == 0);
}

BOOST_AUTO_TEST_CASE(normalized_added_tokens_are_found_in_normalized_text) {
  json file = test::small_tokenizer();
  file["added_tokens"][0]["normalized"] = true;
  file["added_tokens"][0]["content"] = "caf\u00e9";
  const Tokenizer tokenizer = load(file);
  const int32_t id = file["added_tokens"][0]["id"].get<int>();
  BOOST_TEST((tokenizer.encode("cafe\u0301") == Ids{id}));
  file["added_tokens"][0]["normalized"] = false;
  BOOST_TEST((load(file).encode("cafe\u0301") != Ids{id}));
}

BOOST_AUTO_TEST_CASE(special_tokens_are_left_out_on_request) {
  const Tokenizer tokenizer = load(test::small_tokenizer());
  const Ids ids = tokenizer.encode("<|im_start|>abc<think>x<|im_end|>");
  BOOST_TEST(tokenizer.decode(ids, SpecialTokens::kKeep) ==
             "<|im_start|>abc<think>x<|im_end|>");
  BOOST_TEST(tokenizer.decode(ids, SpecialTokens::kSkip) == "abc<think>x");
}

BOOST_AUTO_TEST_CASE(merges_may_be_pairs) {
  json file = test::small_tokenizer();
  for (auto& merge : file["model"]["merges"]) {
    const std::string text = merge;
    const size_t space = text.find(' ');
    merge = {text.substr(0, space), text.substr(space + 1)};
  }
  BOOST_TEST(load(file).encode("low abc") ==
             load(test::small_tokenizer()).encode("low abc"));
}

BOOST_AUTO_TEST_CASE(the_config_names_tokens) {
  const Tokenizer named =
      load(test::small_tokenizer(),
           R"({"eos_token": {"content": "<|im_end|>"}, "pad_token": null})");
  BOOST_TEST(*named.eos_token() == "<|im_end|>");
  BOOST_TEST(!named.pad_token());
  BOOST_TEST(!named.bos_token());
}

// As transformers 5.8 on a tokenizer whose next free id is 267.
BOOST_AUTO_TEST_CASE(tokens_that_only_the_config_has_are_added) {
  const auto ids = [](const std::string& config) {
    const Tokenizer tokenizer = load(test::small_tokenizer(), config);
    Ids all;
    for (const char* token : {"<new>", "<more>", "<role>"})
      all.push_back(tokenizer.token_id(token).value_or(-1));
    return all;
  };
  const int32_t free = load(test::small_tokenizer()).vocab_size();
  BOOST_TEST(ids("{}") == (Ids{-1, -1, -1}), boost::test_tools::per_element());
  // By the order of their numbers, whatever these are; then the roles, then the lists.
  BOOST_TEST(ids(R"({"eos_token": "<role>", "added_tokens_decoder":
      {"1070": {"content": "<more>"}, "300": {"content": "<new>", "special": true}}})") ==
                 (Ids{free, free + 1, free + 2}),
             boost::test_tools::per_element());
  BOOST_TEST(ids(R"({"additional_special_tokens": ["<new>", "<more>"],
      "image_token": "<role>"})") == (Ids{free + 1, free + 2, free}),
             boost::test_tools::per_element());
  BOOST_TEST(ids(R"({"extra_special_tokens": {"a_token": "<new>"}, "pad_token": ""})") ==
                 (Ids{free, -1, -1}),
             boost::test_tools::per_element());
  const Tokenizer tokenizer = load(test::small_tokenizer(), R"({"eos_token": "<role>"})");
  BOOST_TEST(pieces(tokenizer, "a<role>b") == "a|<role>|b");
  BOOST_TEST(tokenizer.decode(tokenizer.encode("a<role>b"), SpecialTokens::kSkip) ==
             "ab");
}

BOOST_AUTO_TEST_CASE(the_config_changes_how_a_token_is_found) {
  const int think = load(test::small_tokenizer()).token_id("<think>").value();
  const Tokenizer stripping =
      load(test::small_tokenizer(),
           cat(R"({"added_tokens_decoder": {")", think,
               R"(": {"content": "<think>", "lstrip": true, "rstrip": true}}})"));
  BOOST_TEST(pieces(stripping, "a <think> b") == "a|<think>|b");
  const Tokenizer from_vocabulary =
      load(test::small_tokenizer(), R"({"eos_token": "abc"})");
  BOOST_TEST(pieces(from_vocabulary, "aabc") == "a|abc");
  BOOST_TEST(*from_vocabulary.token_id("abc") ==
             *load(test::small_tokenizer()).token_id("abc"));
}

BOOST_AUTO_TEST_CASE(what_no_encoding_uses_is_accepted) {
  json file = test::small_tokenizer();
  file["post_processor"]["type"] = "Sequence";
  file["post_processor"]["processors"] = {{{"type", "ByteLevel"}},
                                          {{"type", "TemplateProcessing"}}};
  file["truncation"] = {{"max_length", 1}};
  file["padding"] = {{"strategy", {{"Fixed", 20}}}};
  file["model"]["unk_token"] = "<|endoftext|>";
  file["model"]["byte_fallback"] = true;
  file["model"]["fuse_unk"] = true;
  file["model"]["dropout"] = 0.0;
  file["decoder"] = nullptr;
  const std::string config = R"({"add_bos_token": true, "add_eos_token": true,
      "bos_token": "<|im_start|>", "split_special_tokens": true,
      "model_max_length": Infinity, "x": "\ud800", "x": NaN})";
  BOOST_TEST(load(file, config).encode("low <|im_end|>\xc3\xa9") ==
             load(test::small_tokenizer()).encode("low <|im_end|>\xc3\xa9"));
}

BOOST_AUTO_TEST_CASE(text_that_is_no_utf8_is_refused_with_its_place) {
  const Tokenizer tokenizer = load(test::small_tokenizer());
  const auto error = test::user_error([&] { tokenizer.encode("abc\xff"); });
  BOOST_TEST(error.find("not valid UTF-8: byte 3 (value 255)") != error.npos, error);
}

BOOST_AUTO_TEST_CASE(ids_outside_the_vocabulary_are_refused) {
  const Tokenizer tokenizer = load(test::small_tokenizer());
  for (const int32_t id : {-1, tokenizer.vocab_size(), INT32_MAX})
    BOOST_TEST(test::user_error([&] {
                 tokenizer.decode({&id, 1}, SpecialTokens::kKeep);
               }).find("not in the tokenizer") != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
