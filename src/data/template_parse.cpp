// Owns the reading of a template off a tokenizer's own chat template; called where a deck
// names none. Matches parse_template of LLaMA-Factory's data/template.py.
#include "template_parse.hpp"

#include <cctype>

#include "jinja.hpp"
#include "jinja_text.hpp"
#include "mtrain/base/error.hpp"

namespace mtrain::data {
namespace {

using Points = std::u32string;

constexpr const char* kContent = "{{content}}";
constexpr const char* kRemedy =
    "write template = NAME, one of those in docs/data.md, which does without the "
    "tokenizer's own";

/// Renders a chat template as transformers' apply_chat_template does.
class Prober {
 public:
  explicit Prober(const Tokenizer& tokenizer)
      : template_(*tokenizer.chat_template()),
        variables_({{"tools", jinja::None{}}, {"documents", jinja::None{}}}) {
    const auto add = [&](const char* name, const std::optional<std::string>& token) {
      if (token) variables_.emplace_back(name, jinja::text_value(*token));
    };
    add("bos_token", tokenizer.bos_token());
    add("eos_token", tokenizer.eos_token());
    add("unk_token", tokenizer.unk_token());
    add("pad_token", tokenizer.pad_token());
  }

  using Messages = std::vector<std::pair<const char*, const char*>>;
  Points render(const Messages& messages, bool opens_answer) const {
    std::vector<jinja::Value> list;
    for (const auto& [role, content] : messages)
      list.push_back(jinja::dict_value(
          {{"role", jinja::text_value(role)}, {"content", jinja::text_value(content)}}));
    jinja::Template::Variables variables = variables_;
    variables.emplace_back("messages", jinja::list_value(std::move(list)));
    variables.emplace_back("add_generation_prompt", opens_answer);
    return jinja::points_of(template_.render(variables));
  }

 private:
  jinja::Template template_;
  jinja::Template::Variables variables_;
};

Points behind(const Points& text, size_t count) {
  return text.substr(std::min(count, text.size()));
}

// What `longer` has more, as the reference finds it: letter by letter.
Points difference(const Points& shorter, const Points& longer) {
  Points more;
  size_t i = 0;
  for (size_t j = 0; i < shorter.size() && j < longer.size(); ++j) {
    if (shorter[i] == longer[j])
      ++i;
    else
      more += longer[j];
  }
  return more;
}

void erase_all(std::string& text, std::string_view part) {
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at))
    text.erase(at, part.size());
}

// {{name}}, which the reference wants in every slot.
bool has_placeholder(const std::string& slot) {
  for (size_t at = slot.find("{{"); at != slot.npos; at = slot.find("{{", at + 1)) {
    size_t end = at + 2;
    while (end < slot.size() &&
           (std::isalnum(static_cast<unsigned char>(slot[end])) != 0 || slot[end] == '_'))
      ++end;
    const bool named = end > at + 2 && (slot[at + 2] < '0' || slot[at + 2] > '9');
    if (named && slot.compare(end, 2, "}}") == 0) return true;
  }
  return false;
}

Slot slot_of(std::string text, const char* role) {
  if (!has_placeholder(text))
    throw UserError(cat("the tokenizer's chat template leaves out the messages of ", role,
                        ", or changes them"),
                    kRemedy);
  return {{SlotPart::Kind::kText, std::move(text)}};
}

TemplateSpec probe(const Tokenizer& tokenizer, const Points& prefix) {
  const Prober prober(tokenizer);
  const Points system =
      behind(prober.render({{"system", kContent}}, false), prefix.size());
  const Points with_empty_system =
      behind(prober.render({{"system", ""}, {"user", kContent}}, true), prefix.size());
  Points user = behind(prober.render({{"user", kContent}}, true), prefix.size());
  std::string assistant = jinja::text_of_points(
      behind(prober.render({{"user", kContent}, {"assistant", kContent}}, false),
             prefix.size() + user.size()));
  const bool reasoning = assistant.find("<think>") != assistant.npos;
  erase_all(assistant, "<think>");
  erase_all(assistant, "</think>");
  assistant.erase(0, assistant.find_first_not_of('\n'));

  const std::string system_slot = jinja::text_of_points(system);
  std::string default_system;
  if (user.size() > with_empty_system.size()) {
    default_system = jinja::text_of_points(difference(with_empty_system, user));
    const std::string shown = jinja::replaced(system_slot, kContent, default_system, 1);
    user = behind(user, jinja::length_of(shown));
  }
  TemplateSpec spec{};
  spec.system = slot_of(system_slot, "the system");
  spec.user = slot_of(jinja::text_of_points(user), "users");
  spec.assistant = slot_of(assistant, "the assistant");
  spec.function = spec.assistant;
  spec.observation = spec.user;
  spec.tool_format = "default";
  spec.default_system = default_system;
  spec.reasoning = reasoning;
  spec.prefix = jinja::text_of_points(prefix);
  return spec;
}

}  // namespace

TemplateSpec parsed_template(const Tokenizer& tokenizer) {
  // What the tokenizer puts before every text; templates are rendered with it.
  const Points prefix = jinja::points_of(tokenizer.text_of_nothing());
  try {
    return probe(tokenizer, prefix);
  } catch (const jinja::Fault& fault) {
    const std::string place = fault.line > 0 ? cat(", line ", fault.line, ",") : "";
    throw UserError(cat("the tokenizer's chat template", place, " ", fault.what),
                    kRemedy);
  }
}

}  // namespace mtrain::data
