// Templates read off a tokenizer's own chat template. The slots wanted here are those
// LLaMA-Factory's parse_template finds, worked out by its rules.
#include "template_parse.hpp"

#include <boost/test/unit_test.hpp>
#include <filesystem>

#include "fixtures.hpp"

using namespace mtrain;
using namespace mtrain::data;

namespace {

const std::string kTurns =
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + "
    "'<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

Tokenizer tokenizer_with(const nlohmann::json& chat_template) {
  const test::ScratchFolder folder;
  folder.write("tokenizer.json", test::small_tokenizer().dump());
  folder.write("tokenizer_config.json", nlohmann::json{{"eos_token", "<|im_end|>"},
                                                       {"chat_template", chat_template}}
                                            .dump());
  return Tokenizer::load(folder.path());
}

TemplateSpec parsed(const std::string& chat_template) {
  return parsed_template(tokenizer_with(chat_template));
}

std::string text(const Slot& slot) {
  BOOST_REQUIRE(slot.size() == 1u);
  return slot[0].text;
}

const std::string kUser =
    "<|im_start|>user\n{{content}}<|im_end|>\n<|im_start|>assistant\n";

}  // namespace

BOOST_AUTO_TEST_SUITE(template_parse)

BOOST_AUTO_TEST_CASE(slots_are_what_is_rendered) {
  const TemplateSpec spec = parsed(kTurns);
  BOOST_TEST(text(spec.system) == "<|im_start|>system\n{{content}}<|im_end|>\n");
  BOOST_TEST(text(spec.user) == kUser);
  BOOST_TEST(text(spec.observation) == kUser);
  BOOST_TEST(text(spec.assistant) == "{{content}}<|im_end|>\n");
  BOOST_TEST(spec.default_system == "");
  BOOST_TEST(spec.tool_format == "default");
  BOOST_TEST(!spec.reasoning);
}

BOOST_AUTO_TEST_CASE(tokens_before_every_text_are_a_prefix) {
  nlohmann::json file = test::small_tokenizer();
  file["post_processor"] = nlohmann::json::parse(
      R"({"type": "Sequence", "processors": [{"type": "ByteLevel"},
          {"type": "TemplateProcessing",
           "single": [{"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}},
                      {"Sequence": {"id": "A", "type_id": 0}}]}]})");
  const test::ScratchFolder folder;
  folder.write("tokenizer.json", file.dump());
  folder.write("tokenizer_config.json",
               nlohmann::json{{"eos_token", "<|im_end|>"},
                              {"chat_template", "{{ '<|endoftext|>' }}" + kTurns}}
                   .dump());
  const TemplateSpec spec = parsed_template(Tokenizer::load(folder.path()));
  BOOST_TEST(spec.prefix == "<|endoftext|>");
  BOOST_TEST(text(spec.user) == kUser);
}

BOOST_AUTO_TEST_CASE(a_prompt_that_opens_the_thought_keeps_it) {
  const TemplateSpec spec = parsed(
      "{% for m in messages %}{% if m.role == 'assistant' %}{{ '<|im_start|>assistant\\n"
      "<think>\\n\\n</think>\\n\\n' + m.content + '<|im_end|>\\n' }}{% else %}"
      "{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endif %}"
      "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n<think>\\n' "
      "}}"
      "{% endif %}");
  BOOST_TEST(text(spec.user) == kUser + "<think>\n");
  BOOST_TEST(text(spec.assistant) == "{{content}}<|im_end|>\n");
  BOOST_TEST(!spec.reasoning);
}

BOOST_AUTO_TEST_CASE(a_thought_in_the_answer_makes_a_reasoning_template) {
  const TemplateSpec spec = parsed(
      "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' }}"
      "{% if m.role == 'assistant' %}{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}"
      "{{ m.content + '<|im_end|>\\n' }}{% endfor %}"
      "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}");
  BOOST_TEST(spec.reasoning);
  BOOST_TEST(text(spec.user) == kUser);
  BOOST_TEST(text(spec.assistant) == "{{content}}<|im_end|>\n");
}

BOOST_AUTO_TEST_CASE(a_default_system_message_is_found) {
  const TemplateSpec spec = parsed(
      "{% if messages[0].role != 'system' %}{{ '<|im_start|>system\\nTalk like a 河."
      "<|im_end|>\\n' }}{% endif %}" +
      kTurns);
  BOOST_TEST(spec.default_system == "Talk like a 河.");
  BOOST_TEST(text(spec.user) == kUser);
}

BOOST_AUTO_TEST_CASE(a_template_that_can_not_be_followed_is_refused) {
  const auto refused = [](const std::string& source, const std::string& what) {
    const auto error = test::user_error([&] { parsed(source); });
    BOOST_TEST(error.find(what) != error.npos, error);
    BOOST_TEST(error.find("write template = NAME") != error.npos, error);
  };
  refused(
      "{% if messages[0].role == 'system' %}\n{{ raise_exception('no system') }}"
      "{% endif %}",
      "chat template, line 2, refuses: no system");
  refused("{{ messages | batch(2) }}", "the filter 'batch'");
  refused(
      "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
      "too many steps");
  refused(
      "{% for m in messages %}{% if m.role != 'system' %}{{ m.content }}{% endif %}"
      "{% endfor %}",
      "leaves out the messages of the system");
}

BOOST_AUTO_TEST_CASE(lists_of_templates_are_no_template) {
  const auto named = nlohmann::json::array(
      {{{"name", "default"}, {"template", kTurns}}, {{"name", "x"}, {"template", "x"}}});
  const Tokenizer tokenizer = tokenizer_with(named);
  BOOST_TEST(!tokenizer.chat_template());
  BOOST_TEST(tokenizer.has_named_chat_templates());
  BOOST_TEST(template_of(tokenizer).name == "empty");
  BOOST_TEST(template_of(tokenizer_with(nullptr)).name == "empty");
}

BOOST_AUTO_TEST_CASE(files_beside_the_configuration_go_before_it) {
  const test::ScratchFolder folder;
  folder.write("tokenizer.json", test::small_tokenizer().dump());
  folder.write("tokenizer_config.json", R"({"chat_template": "from the configuration"})");
  folder.write("chat_template.jinja", kTurns);
  BOOST_TEST(*Tokenizer::load(folder.path()).chat_template() == kTurns);
  std::filesystem::create_directory(folder / "additional_chat_templates");
  folder.write("additional_chat_templates/rag.jinja", "x");
  const Tokenizer several = Tokenizer::load(folder.path());
  BOOST_TEST(!several.chat_template());
  BOOST_TEST(several.has_named_chat_templates());
}

BOOST_AUTO_TEST_SUITE_END()
