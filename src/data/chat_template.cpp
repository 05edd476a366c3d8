// Owns the application of a chat template to messages; called by the sft encoder.
// Matches LLaMA-Factory's data/template.py and data/formatter.py.
#include "chat_template.hpp"

#include <array>

#include "jinja_text.hpp"
#include "mtrain/base/error.hpp"

namespace mtrain::data {
namespace {

constexpr std::string_view kContent = "{{content}}";
constexpr std::string_view kIndex = "{{idx}}";
constexpr const char* kFallbackEos = "<|endoftext|>";

// What Qwen3.8 is told of its effort, by ReasoningEffort.
constexpr std::array<std::string_view, 3> kInstructions = {
    "Reasoning effort is set to xhigh. Please think carefully through the task, validate "
    "key assumptions, consider plausible alternatives, and prioritize correctness, "
    "consistency, and clarity in the final answer.",
    "",
    "Reasoning effort is set to low. Keep your thinking brief and focused, moving "
    "directly "
    "to the conclusion without unnecessary elaboration."};

std::string without_newlines(std::string text) {
  return text.erase(0, text.find_first_not_of('\n'));
}

void replace_first(std::string& text, std::string_view what, std::string_view by) {
  const size_t at = text.find(what);
  if (at != text.npos) text.replace(at, what.size(), by);
}

int32_t require_token(const Tokenizer& tokenizer, const std::string& token) {
  const auto id = tokenizer.token_id(token);
  if (!id)
    throw UserError(cat("the tokenizer has no token '", token, "', which is needed"));
  return *id;
}

}  // namespace

StageTokens stage_tokens(const TemplateSpec* spec, const Tokenizer& tokenizer) {
  StageTokens tokens;
  tokens.eos = spec && !spec->stop_word.empty()
                   ? spec->stop_word
                   : tokenizer.eos_token().value_or(kFallbackEos);
  tokens.eos_id = require_token(tokenizer, tokens.eos);
  tokens.pad_id = tokenizer.pad_token() ? require_token(tokenizer, *tokenizer.pad_token())
                                        : tokens.eos_id;
  return tokens;
}

ChatTemplate::ChatTemplate(TemplateSpec spec, const Tokenizer& tokenizer,
                           ChatOptions options)
    : spec_(std::move(spec)),
      tokenizer_(tokenizer),
      tool_format_(find_tool_format(spec_.tool_format)),
      options_(std::move(options)),
      eos_id_(stage_tokens(&spec_, tokenizer).eos_id) {}

const Slot& ChatTemplate::slot(Role role) const {
  switch (role) {
    case Role::kUser:
      return spec_.user;
    case Role::kAssistant:
      return spec_.assistant;
    case Role::kFunction:
      return spec_.function;
    case Role::kObservation:
      break;
  }
  return spec_.observation;
}

// The turn's number replaces the first {{idx}} of the filled text, even one in the
// content, as in the reference.
void ChatTemplate::fill(const Slot& slot, std::string_view content, size_t turn,
                        std::vector<int32_t>& ids) const {
  for (const SlotPart& part : slot) {
    if (part.kind == SlotPart::Kind::kEos) {
      ids.push_back(eos_id_);
      continue;
    }
    std::string text(part.text);
    replace_first(text, kContent, content);
    if (&slot == &spec_.user) replace_first(text, kIndex, std::to_string(turn));
    tokenizer_.encode_append(text, ids);
  }
}

// What stands in the system slot; nothing where there is none.
std::optional<std::string> ChatTemplate::system_content(const std::string& given,
                                                        const std::string& tools) const {
  const std::string& system =
      given.empty() ? options_.default_system.value_or(spec_.default_system) : given;
  if (spec_.system_order == SystemOrder::kInstructionFirst) {
    const std::string content = with_instruction(system, tools);
    return content.empty() && tools.empty() ? std::nullopt : std::optional(content);
  }
  if (system.empty() && tools.empty()) return std::nullopt;
  std::string described = tools.empty() ? "" : tool_format_.describe(tools);
  // The newlines part it from a system message, which is not there.
  if (system.empty() && options_.compat_version >= CompatVersion::k2026November)
    described = without_newlines(std::move(described));
  return system + described;
}

// Instruction, tools and the system message, an empty line between them.
std::string ChatTemplate::with_instruction(const std::string& system,
                                           const std::string& tools) const {
  std::vector<std::string> parts;
  if (options_.enable_thinking != false) {
    const std::string_view instruction =
        kInstructions[static_cast<size_t>(options_.reasoning_effort)];
    if (!instruction.empty()) parts.emplace_back(instruction);
  }
  if (!tools.empty()) parts.push_back(without_newlines(tool_format_.describe(tools)));
  const std::string text = jinja::strip(system, std::nullopt, jinja::Side::kBoth);
  if (!text.empty()) parts.push_back(text);
  return join(parts, "\n\n");
}

std::vector<EncodedTurn> ChatTemplate::encode(const std::vector<Message>& messages,
                                              const std::string& system,
                                              const std::string& tools) const {
  MT_CHECK(messages.size() % 2 == 0, messages.size(), " messages");
  std::vector<EncodedTurn> turns(messages.size() / 2);
  if (turns.empty()) return turns;
  if (!spec_.prefix.empty()) tokenizer_.encode_append(spec_.prefix, turns[0].source);
  if (const auto content = system_content(system, tools))
    fill(spec_.system, *content, 0, turns[0].source);
  for (size_t i = 0; i < messages.size(); ++i) {
    const auto& [role, content] = messages[i];
    auto& ids = i % 2 == 0 ? turns[i / 2].source : turns[i / 2].target;
    if (role == Role::kFunction)
      fill(slot(role), format_calls(tool_format_, content), i / 2, ids);
    else
      fill(slot(role), content, i / 2, ids);
  }
  return turns;
}

}  // namespace mtrain::data
