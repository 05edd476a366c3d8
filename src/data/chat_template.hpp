// Chat templates: how messages become token ids. A template is a table of strings.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "aligned_record.hpp"
#include "mtrain/data/prepare.hpp"
#include "mtrain/data/tokenizer.hpp"
#include "tool_format.hpp"

namespace mtrain::data {

/// A part of a slot: text in which {{content}} stands for the message, or the end-of-text
/// token.
struct SlotPart {
  enum class Kind { kText, kEos } kind;
  std::string text;
};
using Slot = std::vector<SlotPart>;

/// How the system message, the description of tools and, with reasoning effort, an
/// instruction share the system slot.
enum class SystemOrder { kSystemFirst, kInstructionFirst };

/// One row of the table of templates; parts as in LLaMA-Factory's data/template.py.
struct TemplateSpec {
  std::string name;
  Slot system;
  Slot user;
  Slot assistant;
  Slot function;
  Slot observation;
  std::string tool_format;
  std::string default_system;
  std::string stop_word;            ///< replaces the tokenizer's eos token; "" for none
  bool reasoning;                   ///< adds empty thoughts to responses without one
  bool preserves_thinking = false;  ///< what preserve_thinking = null means
  SystemOrder system_order = SystemOrder::kSystemFirst;
  std::string prefix = {};  ///< before everything
};

/// The row named `name`. UserError with the known names when there is none.
const TemplateSpec& find_template(const std::string& name);

/// The template for decks that name none: what the tokenizer's own chat template shows
/// when rendered (template_parse.hpp), "empty" for a tokenizer without one, or with
/// several that are told apart by names.
TemplateSpec template_of(const Tokenizer& tokenizer);

/// `spec` with another tool format (deck key tool_format).
TemplateSpec with_tool_format(TemplateSpec spec, const std::string& tool_format);

/// A turn of a conversation: what is asked, and what is answered.
struct EncodedTurn {
  std::vector<int32_t> source;
  std::vector<int32_t> target;
};

/// Values of the deck keys of the same names.
struct ChatOptions {
  std::optional<std::string> default_system =
      {};  ///< replaces the template's, even by ""
  CompatVersion compat_version = CompatVersion::k2026November;
  ReasoningEffort reasoning_effort = ReasoningEffort::kXHigh;
  std::optional<bool> enable_thinking = true;
};

/// A template applied with one tokenizer. Each part of a slot is tokenized on its own.
class ChatTemplate {
 public:
  /// UserError when the tokenizer lacks a token the template needs.
  ChatTemplate(TemplateSpec spec, const Tokenizer& tokenizer, ChatOptions options);

  const TemplateSpec& spec() const { return spec_; }

  /// Turns of messages that ask and answer by turns; the system text and the descriptions
  /// of tools are part of the first source. `system` "" takes the default. Throws
  /// RecordFault for malformed tools and calls.
  std::vector<EncodedTurn> encode(const std::vector<Message>& messages,
                                  const std::string& system,
                                  const std::string& tools) const;

 private:
  const Slot& slot(Role role) const;
  void fill(const Slot& slot, std::string_view content, size_t turn,
            std::vector<int32_t>& ids) const;
  std::optional<std::string> system_content(const std::string& system,
                                            const std::string& tools) const;
  std::string with_instruction(const std::string& system, const std::string& tools) const;

  TemplateSpec spec_;
  const Tokenizer& tokenizer_;
  const ToolFormat& tool_format_;
  ChatOptions options_;
  int32_t eos_id_;
};

/// End-of-text and padding token a stage works with: the template's stop word replaces
/// the eos, and a tokenizer without a pad token pads with it. `spec` is null for no
/// template.
struct StageTokens {
  std::string eos;
  int32_t eos_id;
  int32_t pad_id;
};
StageTokens stage_tokens(const TemplateSpec* spec, const Tokenizer& tokenizer);

}  // namespace mtrain::data
