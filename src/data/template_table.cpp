// Owns the table of chat templates: adding one is adding a row. The strings are those of
// LLaMA-Factory's data/template.py, since models were trained with them.
#include "chat_template.hpp"
#include "mtrain/base/error.hpp"
#include "template_parse.hpp"

namespace mtrain::data {
namespace {

constexpr auto kText = SlotPart::Kind::kText;
const SlotPart kEos{SlotPart::Kind::kEos, {}};

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

TemplateSpec qwen_like(const char* name, std::string_view default_system, bool reasoning,
                       const char* tool_format = "qwen") {
  return {name,
          kQwenSystem,
          kQwenUser,
          kQwenAssistant,
          kQwenAssistant,
          kQwenResult,
          tool_format,
          std::string(default_system),
          std::string(kEnd),
          reasoning};
}

TemplateSpec qwen3_8() {
  TemplateSpec spec = qwen_like("qwen3_8", "", true, "qwen3_8");
  spec.preserves_thinking = true;
  spec.system_order = SystemOrder::kInstructionFirst;
  return spec;
}

const std::vector<TemplateSpec>& table() {
  static const std::vector<TemplateSpec> rows = {
      qwen_like("qwen3_nothink", "", false),
      qwen_like("qwen3", "", true),
      qwen_like("qwen", kQwenDefaultSystem, false),
      qwen_like("qwen3_5", "", true, "qwen3_5"),
      qwen_like("qwen3_5_nothink", "", false, "qwen3_5"),
      qwen_like("qwen3_6", "", true, "qwen3_5"),
      qwen3_8(),
      {"chatml", kQwenSystem, kQwenUser, kQwenAssistant, kQwenAssistant, kChatmlResult,
       "default", "", std::string(kEnd), false},
      {"default", kPlainSystem, kPlainUser, kPlainAssistant, kPlainAssistant, kPlainUser,
       "default", "", "", false},
      {"empty", kContentOnly, kContentOnly, kContentOnly, kContentOnly, kContentOnly,
       "default", "", "", false},
  };
  return rows;
}

}  // namespace

const TemplateSpec& find_template(const std::string& name) {
  std::vector<std::string> names;
  for (const auto& row : table()) {
    if (row.name == name) return row;
    names.push_back(row.name);
  }
  throw UserError(
      cat("template '", name, "' is not known; known are ", join(names, ", ")),
      nearest(name, names).empty() ? ""
                                   : cat("did you mean '", nearest(name, names), "'?"));
}

TemplateSpec template_of(const Tokenizer& tokenizer) {
  return tokenizer.chat_template() ? parsed_template(tokenizer) : find_template("empty");
}

TemplateSpec with_tool_format(TemplateSpec spec, const std::string& tool_format) {
  spec.tool_format = find_tool_format(tool_format).name;
  spec.function = {{kText, "{{content}}"}, kEos};
  return spec;
}

}  // namespace mtrain::data
