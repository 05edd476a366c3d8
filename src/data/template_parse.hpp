// A template read off a tokenizer's own chat template.
#pragma once

#include "chat_template.hpp"

namespace mtrain::data {

/// The slots that tokenizer's chat template shows when it is rendered with messages made
/// for that, as LLaMA-Factory's parse_template finds them. UserError where the template
/// can't be rendered, or has no place for a message.
TemplateSpec parsed_template(const Tokenizer& tokenizer);

}  // namespace mtrain::data
