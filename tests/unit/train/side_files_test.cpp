// The small files of an exported model: generation ends with the answers the model was
// trained on.
#include "side_files.hpp"

#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <fstream>
#include <nlohmann/json.hpp>

#include "mtrain/base/error.hpp"

using namespace mtrain;
using namespace mtrain::train;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

constexpr char kTokenizer[] = MTRAIN_SOURCE_DIR "/inputs/demo/model/tokenizer.json";
constexpr char kTokens[] = R"({"eos_token": "<|endoftext|>", "pad_token": null,
                               "model_max_length": 1000000000000000019884624838656})";

/// The folder of a base model with the demo's tokenizer, in which <|endoftext|> ends a
/// text.
struct Base {
  Base() : path(fs::temp_directory_path() / cat("mtrain-base-", ::getpid())) {
    fs::remove_all(path);
    fs::create_directory(path);
    fs::copy_file(kTokenizer, path / "tokenizer.json");
    write("tokenizer_config.json", kTokens);
    write("special_tokens_map.json", R"({"eos_token": {"content": "<|endoftext|>"}})");
  }
  ~Base() { fs::remove_all(path); }
  void write(const char* name, const std::string& text) const {
    std::ofstream(path / name) << text;
  }
  SideFiles files(const std::optional<std::string>& template_name, int eos = 3) const {
    const json config = {{"model_type", "qwen3"}, {"eos_token_id", eos}};
    return side_files(config.dump(), at::kFloat, {path, template_name, std::nullopt});
  }

  fs::path path;
};

std::string text_of(const SideFiles& files, const std::string& name) {
  for (const auto& file : files)
    if (file.name == name) return file.text;
  throw Error("no " + name);
}

json parsed(const SideFiles& files, const std::string& name) {
  return json::parse(text_of(files, name));
}

int64_t id_of(const std::string& token) {
  std::ifstream file(kTokenizer);
  const json tokenizer = json::parse(file);
  for (const auto& added : tokenizer.at("added_tokens"))
    if (added["content"] == token) return added["id"];
  throw Error("no " + token);
}

const int64_t kEnd = id_of("<|im_end|>"), kTextEnd = id_of("<|endoftext|>");

}  // namespace

BOOST_AUTO_TEST_SUITE(exported_files)

// As LLaMA-Factory's tokenizer and transformers' Trainer leave them.
BOOST_AUTO_TEST_CASE(the_template_s_stop_word_ends_a_text) {
  const Base base;
  base.write("generation_config.json", cat("{\"eos_token_id\": ", kTextEnd, "}"));
  const SideFiles files = base.files("qwen3_nothink", static_cast<int>(kTextEnd));
  for (const char* name : {"tokenizer_config.json", "special_tokens_map.json"}) {
    BOOST_TEST(parsed(files, name)["eos_token"] == "<|im_end|>");
    BOOST_TEST(parsed(files, name)["pad_token"] == "<|im_end|>");
  }
  BOOST_TEST(parsed(files, "config.json")["eos_token_id"] == kEnd);
  const json generation = parsed(files, "generation_config.json");
  BOOST_TEST(generation["eos_token_id"] == json({kEnd, kTextEnd}));
  BOOST_TEST(generation["pad_token_id"] == kEnd);
  // What we do not know stays to the digit.
  const std::string text = text_of(files, "tokenizer_config.json");
  BOOST_TEST(text.find("1000000000000000019884624838656") != text.npos, text);
}

BOOST_AUTO_TEST_CASE(what_ends_with_it_already_stays) {
  const Base base;
  const std::string tokens =
      R"({"eos_token": {"content": "<|im_end|>"}, "pad_token": "!",
                                 "chat_template": "x"})";
  const std::string generation =
      cat("{\"eos_token_id\": [7, ", kEnd, "], \"pad_token_id\": 7}");
  base.write("tokenizer_config.json", tokens);
  base.write("generation_config.json", generation);
  const SideFiles files = base.files("qwen3", static_cast<int>(kEnd));
  BOOST_TEST(text_of(files, "tokenizer_config.json") == tokens);
  BOOST_TEST(json::parse(text_of(files, "generation_config.json")) ==
             json::parse(generation));
  BOOST_TEST(parsed(files, "config.json")["eos_token_id"] == kEnd);
}

BOOST_AUTO_TEST_CASE(without_a_template_the_tokenizer_s_own_token_ends_a_text) {
  const Base base;
  const SideFiles files = base.files("");
  BOOST_TEST(parsed(files, "tokenizer_config.json")["eos_token"] == "<|endoftext|>");
  BOOST_TEST(parsed(files, "tokenizer_config.json")["pad_token"] == "<|endoftext|>");
  BOOST_TEST(parsed(files, "generation_config.json")["eos_token_id"] ==
             json({kTextEnd, 3}));
}

BOOST_AUTO_TEST_CASE(a_chat_template_comes_where_there_was_none) {
  const Base base;
  const json made = parsed(base.files("qwen"), "tokenizer_config.json");
  const auto text = made.at("chat_template").get<std::string>();
  BOOST_TEST(text.find("<|im_start|>assistant") != text.npos, text);
  base.write("chat_template.jinja", "{{ mine }}");
  const SideFiles files = base.files("qwen");
  BOOST_TEST(text_of(files, "chat_template.jinja") == "{{ mine }}");
  BOOST_TEST(!parsed(files, "tokenizer_config.json").contains("chat_template"));
}

// Conversion alone trains nothing.
BOOST_AUTO_TEST_CASE(of_a_model_that_was_not_trained_nothing_changes) {
  const Base base;
  const SideFiles files = base.files(std::nullopt);
  BOOST_TEST(text_of(files, "tokenizer_config.json") == kTokens);
  BOOST_TEST(parsed(files, "config.json")["eos_token_id"] == 3);
}

BOOST_AUTO_TEST_CASE(a_tokenizer_without_config_gets_one) {
  const Base base;
  fs::remove(base.path / "tokenizer_config.json");
  const SideFiles files = base.files("qwen");
  BOOST_TEST(parsed(files, "tokenizer_config.json")["eos_token"] == "<|im_end|>");
}

BOOST_AUTO_TEST_CASE(a_tokenizer_of_another_kind_is_saved_as_it_is) {
  const Base base;
  base.write("tokenizer.json", "{\"model\": {\"type\": \"Unigram\"}}");
  const SideFiles files = base.files("qwen3");
  BOOST_TEST(text_of(files, "tokenizer_config.json") == kTokens);
  BOOST_TEST(side_files(R"({"eos_token_id": 5})", at::kFloat, TokenizerOrigin()).size() ==
             2u);
}

BOOST_AUTO_TEST_CASE(a_checkpoint_remembers_the_tokenizer) {
  const Base base;
  checkpoint::TrainingState state;
  note_tokenizer({base.path, "qwen", "Be kind."}, state);
  const TokenizerOrigin origin = tokenizer_origin(state);
  BOOST_TEST(origin.folder == base.path);
  BOOST_TEST(origin.template_name.value() == "qwen");
  BOOST_TEST(origin.default_system.value() == "Be kind.");
  BOOST_TEST(!tokenizer_origin(checkpoint::TrainingState()).template_name.has_value());
}

BOOST_AUTO_TEST_SUITE_END()
