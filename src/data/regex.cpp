// Owns compiled patterns; called by the tokenizer to cut text into words.
#include "regex.hpp"

#include "mtrain/base/error.hpp"

namespace mtrain::data {
namespace {

constexpr size_t kJitStackStart = 32 * 1024;
constexpr size_t kJitStackLimit = 16 * 1024 * 1024;

std::string message(int code) {
  PCRE2_UCHAR text[256];
  pcre2_get_error_message(code, text, sizeof text);
  return reinterpret_cast<const char*>(text);
}

}  // namespace

Regex::Regex(const std::string& pattern, const std::string& place) {
  const std::string translated = to_pcre2_dialect(pattern, place);
  int error = 0;
  PCRE2_SIZE offset = 0;
  code_.reset(pcre2_compile(
      reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
      PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &offset, nullptr));
  if (!code_) throw UserError(cat(place, ": malformed pattern (", message(error), ")"));
  pcre2_jit_compile(code_.get(), PCRE2_JIT_COMPLETE);
  data_.reset(pcre2_match_data_create(1, nullptr));
  stack_.reset(pcre2_jit_stack_create(kJitStackStart, kJitStackLimit, nullptr));
  context_.reset(pcre2_match_context_create(nullptr));
  MT_CHECK(data_ && stack_ && context_, "out of memory");
  pcre2_jit_stack_assign(context_.get(), nullptr, stack_.get());
}

bool Regex::find(std::string_view text, size_t start, Match& match) const {
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  const int found =
      pcre2_match(code_.get(), subject, text.size(), start,
                  PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY, data_.get(), context_.get());
  if (found == PCRE2_ERROR_NOMATCH) return false;
  if (found < 0)
    throw UserError(cat("the tokenizer's pattern fails on a text of ", text.size(),
                        " bytes: ", message(found)));
  const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(data_.get());
  match = {bounds[0], bounds[1]};
  return true;
}

}  // namespace mtrain::data
