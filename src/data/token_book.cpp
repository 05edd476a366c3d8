// Owns the adding of tokens to those of a tokenizer.json; called by the reader of
// tokenizer_config.json.
#include "token_book.hpp"

#include <algorithm>

#include "byte_alphabet.hpp"

namespace mtrain::data {

TokenBook::TokenBook(TokenizerSpec& spec) : spec_(spec) {
  for (size_t i = 0; i < spec.added.size(); ++i) {
    added_.emplace(spec.added[i].content, i);
    largest_ = std::max<int64_t>(largest_, spec.added[i].id);
  }
}

AddedToken* TokenBook::find(const std::string& content) {
  const auto found = added_.find(content);
  return found == added_.end() ? nullptr : &spec_.added[found->second];
}

int32_t TokenBook::add(AddedToken token, const JsonField& place) {
  if (AddedToken* known = find(token.content)) {
    token.id = known->id;
    *known = std::move(token);
    return known->id;
  }
  token.id = id_of_new(token, place);
  largest_ = std::max<int64_t>(largest_, token.id);
  added_.emplace(token.content, spec_.added.size());
  spec_.added.push_back(std::move(token));
  return spec_.added.back().id;
}

int32_t TokenBook::id_of_new(const AddedToken& token, const JsonField& place) {
  if (const auto known = in_vocabulary(token.content)) return *known;
  const int64_t id = std::max(largest_ + 1, spec_.vocabulary);
  if (id >= kMaxTokenIds) place.fault(cat("would be token ", id, ", which is too many"));
  set_entry(
      spec_, [&] { return place; }, id, bytes_of_spelling(token.content));
  return static_cast<int32_t>(id);
}

std::optional<int32_t> TokenBook::in_vocabulary(const std::string& content) {
  if (ids_.empty())
    for (size_t id = 0; id < spec_.entries.size(); ++id)
      if (spec_.entries[id].used)
        ids_.emplace(spec_.entries[id].bytes, static_cast<int32_t>(id));
  const std::string bytes = bytes_of_spelling(content);
  std::string spelling;
  for (const char byte : bytes)
    spelling += spelling_of_byte(static_cast<unsigned char>(byte));
  const auto found = spelling == content ? ids_.find(bytes) : ids_.end();
  return found == ids_.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace mtrain::data
