// What is saved of a tokenizer for the template a model was trained with.
#include "mtrain/data/tokenizer_fixes.hpp"

#include <boost/test/unit_test.hpp>

#include "fixtures.hpp"

using namespace mtrain;
using namespace mtrain::data;

namespace {

Tokenizer tokenizer_with(const std::string& config) {
  const test::ScratchFolder folder;
  folder.write("tokenizer.json", test::small_tokenizer().dump());
  folder.write("tokenizer_config.json", config);
  return Tokenizer::load(folder.path());
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tokenizer_fixes_)

BOOST_AUTO_TEST_CASE(the_stop_word_becomes_the_end_and_a_chat_template_is_written) {
  const Tokenizer base = tokenizer_with(R"({"eos_token": "<|endoftext|>"})");
  const TokenizerFixes fixes = tokenizer_fixes("qwen3_nothink", base, std::nullopt);
  BOOST_TEST(fixes.eos_token == "<|im_end|>");
  BOOST_TEST(fixes.eos_id == *base.token_id("<|im_end|>"));
  BOOST_TEST(fixes.pad_token == "<|im_end|>");
  BOOST_REQUIRE(fixes.chat_template);
  BOOST_TEST(
      fixes.chat_template->find(
          R"({{ '<|im_start|>user\n' + turn['content'] + '<|im_end|>\n<|im_start|>assistant\n' }})") !=
          std::string::npos,
      *fixes.chat_template);
  BOOST_TEST(fixes.chat_template->find("set system_message = '") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_default_system_message_is_part_of_the_chat_template) {
  const Tokenizer base = tokenizer_with("{}");
  const TokenizerFixes fixes = tokenizer_fixes("qwen", base, "It's\na \\ text");
  BOOST_TEST(fixes.chat_template->find(
                 R"({% set system_message = 'It\'s\na \\ text' %})") != std::string::npos,
             *fixes.chat_template);
}

BOOST_AUTO_TEST_CASE(the_end_of_text_stands_in_slots_by_its_name) {
  const Tokenizer base = tokenizer_with(R"({"eos_token": "<|endoftext|>"})");
  const TokenizerFixes fixes = tokenizer_fixes("default", base, std::nullopt);
  BOOST_TEST(fixes.eos_token == "<|endoftext|>");
  BOOST_TEST(
      fixes.chat_template->find(
          R"({{ 'Human: ' + turn['content'] + '<|endoftext|>' + '\nAssistant:' }})") !=
          std::string::npos,
      *fixes.chat_template);
}

BOOST_AUTO_TEST_CASE(a_chat_template_that_is_there_stays) {
  const Tokenizer base = tokenizer_with(
      R"({"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "chat_template": "x"})");
  const TokenizerFixes fixes = tokenizer_fixes("qwen3", base, std::nullopt);
  BOOST_TEST(!fixes.chat_template);
  BOOST_TEST(fixes.pad_token == "<|endoftext|>");
  BOOST_TEST(tokenizer_fixes("", base, std::nullopt).eos_token == "<|im_end|>");
}

BOOST_AUTO_TEST_SUITE_END()
