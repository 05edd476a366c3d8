// A compiled pre-tokenizer pattern.
#pragma once

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <memory>
#include <string>
#include <string_view>

namespace mtrain::data {

/// PCRE2 with just-in-time compilation over valid UTF-8.
class Regex {
 public:
  /// `pattern` in Oniguruma's dialect, as tokenizer.json holds it; UserError "PLACE: why"
  /// when it is malformed or uses something that would mean another thing in PCRE2.
  Regex(const std::string& pattern, const std::string& place);

  struct Match {
    size_t begin;
    size_t end;
  };
  /// The first non-empty match in `text` from `start` on. False for none.
  bool find(std::string_view text, size_t start, Match& match) const;

 private:
  template <auto Free>
  struct Deleter {
    template <class T>
    void operator()(T* handle) const {
      Free(handle);
    }
  };

  std::unique_ptr<pcre2_code, Deleter<pcre2_code_free>> code_;
  std::unique_ptr<pcre2_match_data, Deleter<pcre2_match_data_free>> data_;
  std::unique_ptr<pcre2_jit_stack, Deleter<pcre2_jit_stack_free>> stack_;
  std::unique_ptr<pcre2_match_context, Deleter<pcre2_match_context_free>> context_;
};

/// The same pattern in PCRE2's dialect. UserError "PLACE: why" for what is not supported.
std::string to_pcre2_dialect(const std::string& pattern, const std::string& place);

}  // namespace mtrain::data
