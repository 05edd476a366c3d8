// Owns the writing of a template as Jinja text; called by the export of a trained model.
#include "mtrain/data/tokenizer_fixes.hpp"

#include "chat_template.hpp"
#include "mtrain/base/error.hpp"

namespace mtrain::data {
namespace {

constexpr std::string_view kContent = "{{content}}";

// `text` as a string literal of Jinja.
std::string literal(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') quoted += '\\';
    if (c == '\n')
      quoted += "\\n";
    else
      quoted += c;
  }
  return quoted + "'";
}

// A slot as an expression of Jinja in which `variable` stands for the message.
std::string expression(const Slot& slot, const std::string& variable,
                       const std::string& eos) {
  std::vector<std::string> items;
  const auto add_text = [&](std::string_view text) {
    if (!text.empty()) items.push_back(literal(text));
  };
  for (const SlotPart& part : slot) {
    if (part.kind == SlotPart::Kind::kEos) {
      items.push_back(literal(eos));
      continue;
    }
    const std::string_view text = part.text;
    const size_t at = text.find(kContent);
    add_text(text.substr(0, at));
    if (at == text.npos) continue;
    items.push_back(variable);
    add_text(text.substr(at + kContent.size()));
  }
  return join(items, " + ");
}

// Tools and their results have no place in it, as in the reference's. A prompt opens the
// answer, so add_generation_prompt changes nothing.
std::string chat_template_text(const TemplateSpec& spec, std::string_view default_system,
                               const std::string& eos) {
  const std::string first_system =
      default_system.empty()
          ? ""
          : cat("{% set system_message = ", literal(default_system), " %}");
  return cat("{% set turns = messages %}", first_system,
             "{% if messages[0]['role'] == 'system' %}"
             "{% set system_message = messages[0]['content'] %}"
             "{% set turns = messages[1:] %}{% endif %}"
             "{% if system_message is defined %}{{ ",
             expression(spec.system, "system_message", eos),
             " }}{% endif %}{% for turn in turns %}{% if turn['role'] == 'user' %}{{ ",
             expression(spec.user, "turn['content']", eos),
             " }}{% elif turn['role'] == 'assistant' %}{{ ",
             expression(spec.assistant, "turn['content']", eos),
             " }}{% endif %}{% endfor %}");
}

}  // namespace

TokenizerFixes tokenizer_fixes(const std::string& template_name,
                               const Tokenizer& tokenizer,
                               const std::optional<std::string>& default_system) {
  const bool parsed = template_name.empty() && tokenizer.chat_template();
  const bool has_own = tokenizer.chat_template() || tokenizer.has_named_chat_templates();
  const TemplateSpec* spec =
      parsed ? nullptr : &find_template(template_name.empty() ? "empty" : template_name);
  const StageTokens tokens = stage_tokens(spec, tokenizer);
  TokenizerFixes fixes{tokens.eos, tokens.eos_id,
                       tokenizer.pad_token().value_or(tokens.eos), tokens.pad_id,
                       std::nullopt};
  if (!has_own)
    fixes.chat_template = chat_template_text(
        *spec, default_system.value_or(spec->default_system), tokens.eos);
  return fixes;
}

}  // namespace mtrain::data
