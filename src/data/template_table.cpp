// Owns the table of chat templates: adding one is adding a row. The strings are those of
// LLaMA-Factory's data/template.py, since models were trained with them.
#include "chat_template.hpp"
#include "mtrain/base/error.hpp"

namespace mtrain::data {
namespace {

constexpr auto kText = SlotPart::Kind::kText;
constexpr SlotPart kEos{SlotPart::Kind::kEos, {}};

const std::vector<SlotPart> kQwenSystem = {
    {kText, "<|im_start|>system\n{{content}}<|im_end|>\n"}};
const std::vector<SlotPart> kQwenUser = {
    {kText, "<|im_start|>user\n{{content}}<|im_end|>\n<|im_start|>assistant\n"}};
const std::vector<SlotPart> kQwenAssistant = {{kText, "{{content}}<|im_end|>\n"}};

TemplateSpec qwen_like(std::string_view name, std::string_view default_system,
                       bool reasoning) {
  return {name,           kQwenSystem,  kQwenUser, kQwenAssistant,
          default_system, "<|im_end|>", reasoning};
}

const std::vector<TemplateSpec>& table() {
  static const std::vector<TemplateSpec> rows = {
      qwen_like("qwen3_nothink", "", false),
      qwen_like("qwen3", "", true),
      qwen_like("qwen",
                "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.",
                false),
      qwen_like("chatml", "", false),
      {"default",
       {{kText, "System: {{content}}"}, kEos, {kText, "\n"}},
       {{kText, "Human: {{content}}"}, kEos, {kText, "\nAssistant:"}},
       {{kText, "{{content}}"}, kEos, {kText, "\n"}},
       "",
       "",
       false},
      {"empty",
       {{kText, "{{content}}"}},
       {{kText, "{{content}}"}},
       {{kText, "{{content}}"}},
       "",
       "",
       false},
  };
  return rows;
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

}  // namespace mtrain::data
