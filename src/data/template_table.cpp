// Owns the table of chat templates: adding one is adding a row. The strings are those of
// LLaMA-Factory's data/template.py, since models were trained with them.
#include "chat_template.hpp"
#include "mtrain/base/error.hpp"

namespace mtrain::data {
namespace {

constexpr auto kText = SlotPart::Kind::kText;
constexpr SlotPart kEos{SlotPart::Kind::kEos, {}};

const Slot kContentOnly = {{kText, "{{content}}"}};
const Slot kQwenSystem = {{kText, "<|im_start|>system\n{{content}}<|im_end|>\n"}};
const Slot kQwenUser = {
    {kText, "<|im_start|>user\n{{content}}<|im_end|>\n<|im_start|>assistant\n"}};
const Slot kQwenAssistant = {{kText, "{{content}}<|im_end|>\n"}};
const Slot kQwenResult = {
    {kText,
     "<|im_start|>user\n<tool_response>\n{{content}}\n</tool_response><|im_end|>\n"
     "<|im_start|>assistant\n"}};
const Slot kChatmlResult = {
    {kText, "<|im_start|>tool\n{{content}}<|im_end|>\n<|im_start|>assistant\n"}};
const Slot kPlainSystem = {{kText, "System: {{content}}"}, kEos, {kText, "\n"}};
const Slot kPlainUser = {{kText, "Human: {{content}}"}, kEos, {kText, "\nAssistant:"}};
const Slot kPlainAssistant = {{kText, "{{content}}"}, kEos, {kText, "\n"}};

constexpr std::string_view kQwenDefaultSystem =
    "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.";
constexpr std::string_view kEnd = "<|im_end|>";

TemplateSpec qwen_like(std::string_view name, std::string_view default_system,
                       bool reasoning) {
  return {name,        kQwenSystem, kQwenUser,      kQwenAssistant, kQwenAssistant,
          kQwenResult, "qwen",      default_system, kEnd,           reasoning};
}

const std::vector<TemplateSpec>& table() {
  static const std::vector<TemplateSpec> rows = {
      qwen_like("qwen3_nothink", "", false),
      qwen_like("qwen3", "", true),
      qwen_like("qwen", kQwenDefaultSystem, false),
      {"chatml", kQwenSystem, kQwenUser, kQwenAssistant, kQwenAssistant, kChatmlResult,
       "default", "", kEnd, false},
      {"default", kPlainSystem, kPlainUser, kPlainAssistant, kPlainAssistant, kPlainUser,
       "default", "", "", false},
      {"empty", kContentOnly, kContentOnly, kContentOnly, kContentOnly, kContentOnly,
       "default", "", "", false},
  };
  return rows;
}

// What the reference makes of a chat template in ChatML form: it sees neither tools nor
// their results.
const TemplateSpec& guessed(bool reasoning) {
  static const auto spec = [](bool thinks) -> TemplateSpec {
    return {"",        kQwenSystem, kQwenUser, kQwenAssistant, kQwenAssistant, kQwenUser,
            "default", "",          "",        thinks};
  };
  static const TemplateSpec plain = spec(false), thinking = spec(true);
  return reasoning ? thinking : plain;
}

}  // namespace

const TemplateSpec& find_template(const std::string& name) {
  std::vector<std::string> names;
  for (const auto& row : table()) {
    if (row.name == name) return row;
    names.emplace_back(row.name);
  }
  throw UserError(
      cat("template '", name, "' is not known; known are ", join(names, ", ")),
      nearest(name, names).empty() ? ""
                                   : cat("did you mean '", nearest(name, names), "'?"));
}

const TemplateSpec& template_of(const Tokenizer& tokenizer) {
  const auto& text = tokenizer.chat_template();
  if (!text) return find_template("empty");
  const auto has = [&](std::string_view part) { return text->find(part) != text->npos; };
  const bool known = has("<|im_start|>") && has("<|im_end|>") && !has("You are Qwen") &&
                     !has("You are a helpful");
  if (!known)
    throw UserError("the tokenizer's chat template is not one this program can follow",
                    "write template = NAME");
  return guessed(has("<think>"));
}

TemplateSpec with_tool_format(TemplateSpec spec, const std::string& tool_format) {
  spec.tool_format = find_tool_format(tool_format).name;
  spec.function = {{kText, "{{content}}"}, kEos};
  return spec;
}

}  // namespace mtrain::data
