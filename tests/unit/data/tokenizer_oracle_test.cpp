// Every string of the tokenizer oracle, with both vocabularies and both spellings of
// merges.
#include <boost/test/unit_test.hpp>

#include "fixtures.hpp"
#include "mtrain/data/tokenizer.hpp"

using namespace mtrain;
using data::SpecialTokens;
using data::Tokenizer;
using Ids = std::vector<int32_t>;

namespace {

Tokenizer load(const std::string& shared, const std::string& folder,
               const std::string& file) {
  const std::string path = shared + "/tokenizers/" + folder + "/";
  return Tokenizer::load(path + file, path + "tokenizer_config.json");
}

// Encodes and decodes every case with `tokenizer`, whose fields in the file end in
// `name`.
void check_encode_cases(const std::string& shared, const Tokenizer& tokenizer,
                        const std::string& name) {
  const auto cases =
      test::read_gzipped_lines(shared + "/llamafactory/tokenizer/encode_cases.jsonl.gz");
  BOOST_TEST(cases.size() > 500u);
  for (const auto& example : cases) {
    const auto expected = example.at("ids_" + name).get<Ids>();
    const auto ids = tokenizer.encode(example.at("text").get<std::string>());
    BOOST_TEST(ids == expected, name << ": " << example.at("text") << " gives "
                                     << nlohmann::json(ids) << " not "
                                     << example.at("ids_" + name));
    BOOST_TEST(tokenizer.decode(expected, SpecialTokens::kKeep) ==
               example.at("decode_" + name).get<std::string>());
    const std::string skip = "decode_" + name + "_skip_special";
    if (example.contains(skip))
      BOOST_TEST(tokenizer.decode(expected, SpecialTokens::kSkip) ==
                 example.at(skip).get<std::string>());
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tokenizer_oracle)

BOOST_AUTO_TEST_CASE(small_encodes_every_string) {
  const std::string shared = test::shared_folder();
  if (shared.empty()) return;
  check_encode_cases(shared, load(shared, "small", "tokenizer.json"), "small");
}

BOOST_AUTO_TEST_CASE(merges_as_pairs_encode_every_string) {
  const std::string shared = test::shared_folder();
  if (shared.empty()) return;
  check_encode_cases(shared, load(shared, "small", "tokenizer_pairs.json"), "small");
}

BOOST_AUTO_TEST_CASE(qwen_encodes_every_string) {
  const std::string shared = test::shared_folder();
  if (shared.empty()) return;
  const Tokenizer tokenizer = load(shared, "qwen", "tokenizer.json");
  BOOST_TEST(tokenizer.vocab_size() == 151669);
  check_encode_cases(shared, tokenizer, "qwen");
}

BOOST_AUTO_TEST_CASE(ids_that_are_no_whole_characters_decode) {
  const std::string shared = test::shared_folder();
  if (shared.empty()) return;
  const Tokenizer small = load(shared, "small", "tokenizer.json");
  const Tokenizer qwen = load(shared, "qwen", "tokenizer.json");
  const auto cases =
      test::read_gzipped_lines(shared + "/llamafactory/tokenizer/decode_cases.jsonl.gz");
  BOOST_TEST(!cases.empty());
  for (const auto& example : cases) {
    const Tokenizer& tokenizer = example.at("tokenizer") == "qwen" ? qwen : small;
    const auto ids = example.at("ids").get<Ids>();
    BOOST_TEST(tokenizer.decode(ids, SpecialTokens::kKeep) ==
               example.at("decode").get<std::string>());
    BOOST_TEST(tokenizer.decode(ids, SpecialTokens::kSkip) ==
               example.at("decode_skip_special").get<std::string>());
  }
}

BOOST_AUTO_TEST_SUITE_END()
