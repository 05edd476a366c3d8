// Owns the application of a chat template to messages; called by the sft encoder.
// Matches LLaMA-Factory's data/template.py and data/formatter.py.
#include "chat_template.hpp"

#include "mtrain/base/error.hpp"

namespace mtrain::data {
namespace {

constexpr std::string_view kContent = "{{content}}";
constexpr std::string_view kIndex = "{{idx}}";
constexpr const char* kFallbackEos = "<|endoftext|>";

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
                   ? std::string(spec->stop_word)
                   : tokenizer.eos_token().value_or(kFallbackEos);
  tokens.eos_id = require_token(tokenizer, tokens.eos);
  tokens.pad_id = tokenizer.pad_token() ? require_token(tokenizer, *tokenizer.pad_token())
                                        : tokens.eos_id;
  return tokens;
}

ChatTemplate::ChatTemplate(TemplateSpec spec, const Tokenizer& tokenizer,
                           const std::optional<std::string>& default_system)
    : spec_(std::move(spec)),
      tokenizer_(tokenizer),
      tool_format_(find_tool_format(spec_.tool_format)),
      default_system_(default_system.value_or(std::string(spec_.default_system))),
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

std::vector<EncodedTurn> ChatTemplate::encode(const std::vector<Message>& messages,
                                              const std::string& system,
                                              const std::string& tools) const {
  MT_CHECK(messages.size() % 2 == 0, messages.size(), " messages");
  std::vector<EncodedTurn> turns(messages.size() / 2);
  const std::string& shown_system = system.empty() ? default_system_ : system;
  if ((!shown_system.empty() || !tools.empty()) && !turns.empty()) {
    const std::string described = tools.empty() ? "" : tool_format_.describe(tools);
    fill(spec_.system, shown_system + described, 0, turns[0].source);
  }
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
