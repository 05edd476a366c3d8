// The printable alphabet byte-level BPE spells bytes with in tokenizer.json.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace mtrain::data {

/// The bytes a vocabulary entry stands for. Text with a character outside the alphabet
/// stands for its own UTF-8 bytes, as in the Hugging Face decoder. `spelling` must be
/// valid UTF-8.
std::string bytes_of_spelling(std::string_view spelling);

/// The spelling of one byte: one character, one or two UTF-8 bytes.
std::string spelling_of_byte(unsigned char byte);

}  // namespace mtrain::data
