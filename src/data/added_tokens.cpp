// Owns the search for added tokens in a text; called by the tokenizer before anything
// else. Matches the rules of huggingface/tokenizers, added_vocabulary.rs.
#include "added_tokens.hpp"

#include <algorithm>

#include "utf8.hpp"

namespace mtrain::data {
namespace {

bool stands_alone(std::string_view text, size_t begin, size_t end) {
  size_t at = end;
  const bool word_before = begin > 0 && is_word(code_point_before(text, begin));
  const bool word_after = end < text.size() && is_word(next_code_point(text, at));
  return !word_before && !word_after;
}

size_t strip_left(std::string_view text, size_t begin, size_t limit) {
  while (begin > limit && is_space(code_point_before(text, begin))) {
    --begin;
    while ((static_cast<unsigned char>(text[begin]) & 0xc0u) == 0x80u) --begin;
  }
  return begin;
}

size_t strip_right(std::string_view text, size_t end) {
  while (end < text.size()) {
    size_t next = end;
    if (!is_space(next_code_point(text, next))) break;
    end = next;
  }
  return end;
}

}  // namespace

AddedTokenMatcher::AddedTokenMatcher(std::vector<AddedToken> tokens)
    : tokens_(std::move(tokens)) {
  for (uint32_t i = 0; i < tokens_.size(); ++i)
    by_first_byte_[static_cast<unsigned char>(tokens_[i].content[0])].push_back(i);
  for (auto& bucket : by_first_byte_)
    std::stable_sort(bucket.begin(), bucket.end(), [&](uint32_t a, uint32_t b) {
      return tokens_[a].content.size() > tokens_[b].content.size();
    });
}

const AddedToken* AddedTokenMatcher::longest_at(std::string_view text, size_t at) const {
  for (const uint32_t i : by_first_byte_[static_cast<unsigned char>(text[at])])
    if (text.substr(at).starts_with(tokens_[i].content)) return &tokens_[i];
  return nullptr;
}

void AddedTokenMatcher::split(
    std::string_view text,
    const std::function<void(std::string_view, int32_t)>& take) const {
  size_t done = 0;
  for (size_t at = 0; at < text.size();) {
    const AddedToken* token = longest_at(text, at);
    if (!token) {
      ++at;
      continue;
    }
    size_t begin = at, end = at + token->content.size();
    at = end;
    if (token->single_word && !stands_alone(text, begin, end)) continue;
    if (token->lstrip) begin = strip_left(text, begin, done);
    if (token->rstrip) end = strip_right(text, end);
    if (begin > done) take(text.substr(done, begin - done), -1);
    take(text.substr(begin, end - begin), token->id);
    done = at = end;
  }
  if (done < text.size()) take(text.substr(done), -1);
}

}  // namespace mtrain::data
