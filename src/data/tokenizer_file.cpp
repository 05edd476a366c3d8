// Owns the reading of tokenizer.json (byte-level BPE as Qwen2 and Qwen3 use it) and the
// refusal of everything else in it; called by Tokenizer::load.
#include "tokenizer_file.hpp"

#include <string_view>
#include <unordered_map>

#include "byte_alphabet.hpp"
#include "input_file.hpp"
#include "json_field.hpp"

namespace mtrain::data {
namespace {

constexpr size_t kMaxSteps = 16;
// The words of a ByteLevel pre-tokenizer with use_regex (openai/gpt-2, encoder.py).
constexpr const char* kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

using Spellings = std::unordered_map<std::string_view, int32_t>;

void require_type(const JsonField& field, std::string_view expected) {
  const JsonField type = field.at("type");
  if (type.string() != expected)
    type.fault(cat("is '", type.string(), "': only '", expected, "' is supported"));
}

// Options of the model that would change the result and are not implemented. What is
// unknown has none, since every byte is in the vocabulary: unk_token, fuse_unk and
// byte_fallback change nothing.
void require_plain_bpe(const JsonField& model) {
  require_type(model, "BPE");
  if (model.has("dropout") && model.at("dropout").value() != 0)
    model.at("dropout").fault("is not supported: it must be null");
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"})
    if (model.has(key) && !model.at(key).string().empty())
      model.at(key).fault("is not supported: it must be empty");
  if (model.flag("ignore_merges", false))
    model.at("ignore_merges").fault("is not supported: it must be false");
}

Spellings read_vocabulary(const JsonField& field, TokenizerSpec& spec) {
  Spellings ids;
  ids.reserve(field.object().size());
  spec.entries.reserve(field.object().size());
  for (auto entry = field.object().begin(); entry != field.object().end(); ++entry) {
    const auto place = [&] {
      return JsonField(*entry, cat(field.place(), "[", Json(entry.key()).dump(), "]"));
    };
    const bool plain =
        entry->is_number_unsigned() && entry->get<uint64_t>() < kMaxTokenIds;
    const int64_t id = plain ? entry->get<int64_t>() : place().index(kMaxTokenIds);
    set_entry(spec, place, id, bytes_of_spelling(entry.key()));
    ids.emplace(entry.key(), static_cast<int32_t>(id));
  }
  return ids;
}

void find_byte_ids(const JsonField& vocabulary, const Spellings& ids,
                   TokenizerSpec& spec) {
  for (int byte = 0; byte < 256; ++byte) {
    const std::string spelling = spelling_of_byte(static_cast<unsigned char>(byte));
    const auto found = ids.find(spelling);
    if (found == ids.end())
      vocabulary.fault(cat("has no token for byte ", byte, " ('", spelling, "')"));
    spec.byte_ids[static_cast<size_t>(byte)] = found->second;
  }
}

struct Halves {
  std::string_view left, right;
};

// A merge is written "a b" or ["a", "b"].
template <class Place>
Halves halves_of(const Json& merge, const Place& place) {
  if (merge.is_array()) {
    if (merge.size() != 2) place().fault("must be a pair of tokens");
    if (!merge[0].is_string() || !merge[1].is_string())
      place().fault("must hold two strings");
    return {merge[0].get_ref<const std::string&>(),
            merge[1].get_ref<const std::string&>()};
  }
  if (!merge.is_string()) place().fault("must be a string or a pair of strings");
  const std::string_view text = merge.get_ref<const std::string&>();
  const size_t space = text.find(' ');
  if (space == text.npos || text.find(' ', space + 1) != text.npos)
    place().fault("must be two tokens with one space between them");
  return {text.substr(0, space), text.substr(space + 1)};
}

template <class Place>
int32_t id_of(const Spellings& ids, std::string_view token, const Place& place) {
  const auto found = ids.find(token);
  if (found == ids.end())
    place().fault(cat("names '", token, "', which is not in the vocabulary"));
  return found->second;
}

void read_merges(const JsonField& field, const Spellings& ids, TokenizerSpec& spec) {
  spec.merges.reserve(field.array().size());
  std::string joined;
  for (size_t i = 0; i < field.array().size(); ++i) {
    const auto place = [&] { return field.at(i); };
    const Halves halves = halves_of(field.array()[i], place);
    joined.assign(halves.left).append(halves.right);
    spec.merges.push_back({id_of(ids, halves.left, place),
                           id_of(ids, halves.right, place), id_of(ids, joined, place)});
  }
}

void read_added_tokens(const JsonField& field, const Spellings& ids,
                       TokenizerSpec& spec) {
  std::unordered_map<std::string, int32_t> seen;
  for (size_t i = 0; i < field.array().size(); ++i) {
    const JsonField entry = field.at(i);
    AddedToken token =
        read_added_token(entry, static_cast<int32_t>(entry.at("id").index(kMaxTokenIds)));
    if (!seen.emplace(token.content, token.id).second)
      entry.fault(cat("repeats the content '", token.content, "'"));
    const auto in_vocabulary = ids.find(token.content);
    if (in_vocabulary == ids.end())
      set_entry(
          spec, [&] { return entry; }, token.id, bytes_of_spelling(token.content));
    else if (in_vocabulary->second != token.id)
      entry.fault(cat("has id ", token.id, " but '", token.content, "' is ",
                      in_vocabulary->second, " in the vocabulary"));
    spec.added.push_back(std::move(token));
  }
}

bool read_normalizer(const JsonField& root) {
  if (!root.has("normalizer")) return false;
  require_type(root.at("normalizer"), "NFC");
  return true;
}

void read_split(const JsonField& split, TokenizerSpec& spec) {
  require_type(split, "Split");
  const JsonField pattern = split.at("pattern");
  if (!pattern.has("Regex")) pattern.fault("is not supported: it must be a Regex");
  if (split.at("behavior").string() != "Isolated")
    split.at("behavior").fault("is not supported: it must be 'Isolated'");
  if (split.flag("invert", false)) split.at("invert").fault("is not supported");
  spec.patterns.push_back(pattern.at("Regex").string());
}

void read_byte_level(const JsonField& level, TokenizerSpec& spec) {
  require_type(level, "ByteLevel");
  if (level.flag("add_prefix_space", true))
    level.fault("with add_prefix_space is not supported: it must be false");
  if (level.flag("use_regex", true)) spec.patterns.push_back(kGpt2Pattern);
}

// ByteLevel alone, or a Sequence of Splits that ends with it.
void read_pre_tokenizer(const JsonField& field, TokenizerSpec& spec) {
  if (field.at("type").string() == "ByteLevel") return read_byte_level(field, spec);
  require_type(field, "Sequence");
  const JsonField steps = field.at("pretokenizers");
  const size_t count = steps.array().size();
  if (count == 0 || count > kMaxSteps)
    steps.fault(cat("has ", count, " steps: it must have 1 to ", kMaxSteps));
  for (size_t i = 0; i + 1 < count; ++i) read_split(steps.at(i), spec);
  read_byte_level(steps.at(count - 1), spec);
}

/// The special tokens of a TemplateProcessing's `single`, one behind the other.
std::string tokens_of_template(const JsonField& processor) {
  std::string text;
  if (!processor.has("single")) return text;
  const JsonField pieces = processor.at("single");
  for (size_t i = 0; i < pieces.array().size(); ++i)
    if (pieces.at(i).has("SpecialToken"))
      text += pieces.at(i).at("SpecialToken").at("id").string();
  return text;
}

/// `cls` and `sep` of BERT's and RoBERTa's processors are pairs of a token and its id.
std::string tokens_at_ends(const JsonField& processor) {
  std::string text;
  for (const char* end : {"cls", "sep"})
    if (processor.has(end)) text += processor.at(end).at(size_t{0}).string();
  return text;
}

// Post-processors put tokens at the ends of texts and move offsets, both only where
// special tokens are asked for; the reference does that with the empty text alone.
std::string text_of_nothing(const JsonField& processor) {
  const JsonField type = processor.at("type");
  std::string text;
  if (type.string() == "Sequence") {
    const JsonField steps = processor.at("processors");
    for (size_t i = 0; i < steps.array().size(); ++i)
      text += text_of_nothing(steps.at(i));
  } else if (type.string() == "TemplateProcessing") {
    text = tokens_of_template(processor);
  } else if (type.string() == "BertProcessing" || type.string() == "RobertaProcessing") {
    text = tokens_at_ends(processor);
  } else if (type.string() != "ByteLevel") {
    type.fault(cat("is '", type.string(), "', which is not supported"));
  }
  return text;
}

}  // namespace

AddedToken read_added_token(const JsonField& field, int32_t id) {
  AddedToken token{};
  token.id = id;
  token.content = field.at("content").string();
  if (token.content.empty()) field.at("content").fault("is empty");
  token.single_word = field.flag("single_word", false);
  token.lstrip = field.flag("lstrip", false);
  token.rstrip = field.flag("rstrip", false);
  token.special = field.flag("special", false);
  token.normalized = field.flag("normalized", !token.special);
  return token;
}

TokenizerSpec read_tokenizer_file(const std::string& path) {
  const Json json = parse_json(read_input(path), path);
  if (!json.is_object()) throw UserError(cat(path, ": must hold a JSON object"));
  const JsonField root(json, cat(path, ": "));
  TokenizerSpec spec{};
  const JsonField model = root.at("model");
  require_plain_bpe(model);
  const Spellings ids = read_vocabulary(model.at("vocab"), spec);
  spec.vocabulary = static_cast<int64_t>(ids.size());
  find_byte_ids(model.at("vocab"), ids, spec);
  read_merges(model.at("merges"), ids, spec);
  if (root.has("added_tokens")) read_added_tokens(root.at("added_tokens"), ids, spec);
  spec.nfc = read_normalizer(root);
  read_pre_tokenizer(root.at("pre_tokenizer"), spec);
  // `truncation` and `padding` are defaults of another API, which transformers sets anew
  // in each call.
  if (root.has("post_processor"))
    spec.text_of_nothing = text_of_nothing(root.at("post_processor"));
  if (root.has("decoder")) require_type(root.at("decoder"), "ByteLevel");
  return spec;
}

}  // namespace mtrain::data
