// Templates, thoughts, truncation and labels on conversations worked out by hand.
#include <boost/test/unit_test.hpp>

#include "fixtures.hpp"
#include "pretrain_encoder.hpp"
#include "sft_encoder.hpp"
#include "thinking.hpp"

using namespace mtrain;
using namespace mtrain::data;
using Ids = std::vector<int32_t>;

namespace {

Tokenizer tokenizer() {
  const test::ScratchFolder folder;
  test::write_small_tokenizer(folder);
  return Tokenizer::load(folder.path());
}

constexpr SftOptions kPlain{2048, false, false, true, false};

// The sample as text, with what is trained in brackets.
std::string encode(const SftOptions& options, const std::string& name,
                   const AlignedRecord& record, const ChatOptions& chat_options = {}) {
  const Tokenizer tokens = tokenizer();
  const ChatTemplate chat(find_template(name), tokens, chat_options);
  int64_t truncated = 0;
  const Sample sample = SftEncoder(options, chat, tokens).encode(record, truncated);
  std::string text;
  bool inside = false;
  for (size_t i = 0; i < sample.input_ids.size(); ++i) {
    const bool trained = sample.labels[i] != kIgnoreLabel;
    if (trained) BOOST_TEST(sample.labels[i] == sample.input_ids[i]);
    if (trained != inside) text += trained ? "[" : "]";
    inside = trained;
    text += tokens.decode({&sample.input_ids[i], 1}, SpecialTokens::kKeep);
  }
  return text + (inside ? "]" : "");
}

AlignedRecord talk(const std::vector<std::string>& messages,
                   const std::string& system = "") {
  AlignedRecord record;
  record.system = system;
  for (size_t i = 0; i + 1 < messages.size(); ++i)
    record.prompt.push_back({i % 2 == 0 ? Role::kUser : Role::kAssistant, messages[i]});
  record.response = {{Role::kAssistant, messages.back()}};
  return record;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(encoder)

BOOST_AUTO_TEST_CASE(a_turn_is_prompt_masked_and_response_trained) {
  BOOST_TEST(encode(kPlain, "qwen3_nothink", talk({"a", "b"})) ==
             "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n[b<|im_end|>\n]");
  BOOST_TEST(encode(kPlain, "qwen3_nothink", talk({"a", "b", "c", "d"}, "s")) ==
             "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\na<|im_end|>\n"
             "<|im_start|>assistant\n[b<|im_end|>\n]<|im_start|>user\nc<|im_end|>\n"
             "<|im_start|>assistant\n[d<|im_end|>\n]");
}

BOOST_AUTO_TEST_CASE(options_move_the_mask) {
  SftOptions options = kPlain;
  options.train_on_prompt = true;
  BOOST_TEST(encode(options, "empty", talk({"a", "b", "c", "d"})) == "[abcd]");
  options = kPlain;
  options.mask_history = true;
  BOOST_TEST(encode(options, "empty", talk({"a", "b", "c", "d"})) == "abc[d]");
}

BOOST_AUTO_TEST_CASE(templates_differ_by_their_rows) {
  BOOST_TEST(encode(kPlain, "default", talk({"a", "b"}, "s")) ==
             "System: s<|im_end|>\nHuman: a<|im_end|>\nAssistant:[b<|im_end|>\n]");
  BOOST_TEST(encode(kPlain, "qwen", talk({"a", "b"})).find("You are Qwen, created by") !=
             std::string::npos);
  const auto error = test::user_error([] { find_template("qwen3_nothing"); });
  BOOST_TEST(error.find("did you mean 'qwen3_nothink'") != error.npos, error);
}

BOOST_AUTO_TEST_CASE(text_that_looks_like_a_slot_is_kept_once) {
  BOOST_TEST(encode(kPlain, "empty", talk({"a {{content}}", "{{idx}}"})) ==
             "a {{content}}[{{idx}}]");
  // The reference numbers the first {{idx}} of a user's own text.
  BOOST_TEST(encode(kPlain, "empty", talk({"x", "y", "{{idx}} {{idx}}", "z"})) ==
             "x[y]1 {{idx}}[z]");
}

BOOST_AUTO_TEST_CASE(responses_without_thoughts_get_an_empty_one) {
  const std::string thought = "<think>\n\n</think>\n\n";
  const auto sample = [](std::optional<bool> thinking, const std::string& response) {
    SftOptions options = kPlain;
    options.enable_thinking = thinking;
    const std::string text = encode(options, "qwen3", talk({"a", response}));
    const std::string start = "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n";
    BOOST_REQUIRE(text.starts_with(start));
    return text.substr(start.size());
  };
  BOOST_TEST(sample(true, "b") == "[" + thought + "b<|im_end|>\n]");
  BOOST_TEST(sample(false, "b") == thought + "[b<|im_end|>\n]");
  BOOST_TEST(sample(std::nullopt, "b") == thought + "[b<|im_end|>\n]");
  const std::string own = "<think>\nc\n</think>\n\nb";
  BOOST_TEST(sample(true, own) == "[" + own + "<|im_end|>\n]");
  BOOST_TEST(sample(false, own) == thought + "[b<|im_end|>\n]");
  BOOST_TEST(sample(std::nullopt, own) == "[" + own + "<|im_end|>\n]");
}

BOOST_AUTO_TEST_CASE(masked_history_loses_its_thoughts_unless_preserved) {
  const auto record = talk({"a", "<think>\nx\n</think>\n\nb", "c", "d"});
  SftOptions options = kPlain;
  options.mask_history = true;
  const std::string dropped = encode(options, "qwen3", record);
  BOOST_TEST(dropped.find("x") == dropped.npos, dropped);
  BOOST_TEST(dropped.find("[<think>\n\n</think>\n\nd") != dropped.npos, dropped);
  BOOST_TEST(dropped.find("<think>") == dropped.rfind("<think>"), dropped);
  options.preserve_thinking = true;
  BOOST_TEST(encode(options, "qwen3", record).find("x\n</think>") != std::string::npos);
}

// The first turn of a record with tools, up to the user's words.
std::string system_part(const std::string& name, const std::string& system,
                        const std::string& tools, const ChatOptions& options) {
  AlignedRecord record = talk({"question", "answer"}, system);
  record.tools = tools;
  const std::string text = encode(kPlain, name, record, options);
  return text.substr(0, text.find("<|im_start|>user"));
}

BOOST_AUTO_TEST_CASE(tools_without_a_system_message_begin_as_each_version_has_it) {
  const std::string tools = R"([{"name": "f"}])";
  ChatOptions options;
  const auto begins = [&](const std::string& name, const std::string& system) {
    const std::string text = system_part(name, system, tools, options);
    return text.substr(0, text.find("# Tools"));
  };
  BOOST_TEST(begins("qwen3", "") == "<|im_start|>system\n");
  BOOST_TEST(begins("qwen3", "s") == "<|im_start|>system\ns\n\n");
  BOOST_TEST(begins("qwen3_5", "") == "<|im_start|>system\n");
  options.default_system = "d";
  BOOST_TEST(begins("qwen3", "") == "<|im_start|>system\nd\n\n");
  options.default_system.reset();
  options.compat_version = CompatVersion::k2026August;
  BOOST_TEST(begins("qwen3", "") == "<|im_start|>system\n\n\n");
  BOOST_TEST(system_part("qwen3", "", "[]", options) ==
             "<|im_start|>system\n<|im_end|>\n");
}

BOOST_AUTO_TEST_CASE(effort_tools_and_system_message_share_the_slot_of_qwen3_8) {
  const std::string end = "<|im_end|>\n";
  ChatOptions options;
  const std::string plain = system_part("qwen3_8", "", "", options);
  BOOST_TEST(plain.starts_with("<|im_start|>system\nReasoning effort is set to xhigh. "));
  BOOST_TEST(plain.ends_with("clarity in the final answer." + end));
  const std::string all = system_part("qwen3_8", " s\n", R"([{"name": "f"}])", options);
  BOOST_TEST(all.find("answer.\n\n# Tools\n\nYou have access") != all.npos, all);
  BOOST_TEST(all.find(R"({"type": "function", "function": {"name": "f"}})") != all.npos);
  BOOST_TEST(all.ends_with("</IMPORTANT>\n\ns" + end), all);
  options.reasoning_effort = ReasoningEffort::kMedium;
  BOOST_TEST(system_part("qwen3_8", "", "", options) == "");
  BOOST_TEST(system_part("qwen3_8", "s", "", options) == "<|im_start|>system\ns" + end);
  options.reasoning_effort = ReasoningEffort::kLow;
  BOOST_TEST(system_part("qwen3_8", "s", "", options)
                 .ends_with("without unnecessary elaboration.\n\ns" + end));
  options.enable_thinking = false;
  BOOST_TEST(system_part("qwen3_8", "", "", options) == "");
  BOOST_TEST(find_template("qwen3_8").preserves_thinking);
  BOOST_TEST(!find_template("qwen3").preserves_thinking);
}

BOOST_AUTO_TEST_CASE(thoughts_are_cut_out_whole) {
  BOOST_TEST(without_thoughts("<think>\na\n</think>\n\nb") == "b");
  BOOST_TEST(without_thoughts("<think>\n\n</think>\n\n\n\nb") == "b");
  BOOST_TEST(without_thoughts("x<think>\na\n</think>\n\ny<think>\nb\n</think>\n\nz") ==
             "xyz");
  BOOST_TEST(without_thoughts("<think>a</think>b") == "<think>a</think>b");
  BOOST_TEST(without_thoughts("\n\nb\n") == "b\n");
  BOOST_TEST(without_thoughts("\n") == "");
  BOOST_TEST(has_thought("a</think>"));
  BOOST_TEST(!has_thought("think"));
}

BOOST_AUTO_TEST_CASE(lengths_are_shared_as_in_the_reference) {
  const auto kept = [](int64_t source, int64_t target, int64_t budget) {
    const KeptLengths lengths = kept_lengths(source, target, budget);
    return std::pair<int64_t, int64_t>(lengths.source, lengths.target);
  };
  using Pair = std::pair<int64_t, int64_t>;
  BOOST_TEST((kept(10, 20, 100) == Pair(10, 20)));
  BOOST_TEST((kept(100, 10, 50) == Pair(40, 10)));  // a short target stays whole
  BOOST_TEST((kept(10, 100, 50) == Pair(10, 40)));  // a short source stays whole
  BOOST_TEST(
      (kept(100, 100, 51) == Pair(26, 25)));  // shares, rounded down for the target
  BOOST_TEST((kept(30, 25, 50) == Pair(28, 22)));
  BOOST_TEST((kept(0, 10, 5) == Pair(0, 5)));
}

BOOST_AUTO_TEST_CASE(turns_behind_the_cut_are_dropped) {
  SftOptions options = kPlain;
  options.cutoff_len = 3;
  BOOST_TEST(encode(options, "empty", talk({"x", "y", "zz", "v"})) == "x[y]z");
  options.mask_history = true;
  BOOST_TEST(encode(options, "empty", talk({"x", "y", "z", "v"})) == "xz[v]");
}

BOOST_AUTO_TEST_CASE(what_is_cut_off_is_counted) {
  const Tokenizer tokens = tokenizer();
  const ChatTemplate chat(find_template("empty"), tokens, {});
  SftOptions options = kPlain;
  options.cutoff_len = 4;
  int64_t truncated = 0;
  SftEncoder(options, chat, tokens).encode(talk({"x", "y", "z", "v"}), truncated);
  BOOST_TEST(truncated == 0);
  SftEncoder(options, chat, tokens).encode(talk({"x", "y", "z", "vv"}), truncated);
  BOOST_TEST(truncated == 1);
}

BOOST_AUTO_TEST_CASE(texts_are_joined_and_cut_batch_by_batch) {
  const Tokenizer tokens = tokenizer();
  const StageTokens stage = stage_tokens(nullptr, tokens);
  BOOST_TEST(stage.eos == "<|im_end|>");
  const auto blocks = [&](const PretrainOptions& options, size_t batch) {
    std::vector<Sample> samples;
    PretrainEncoder encoder(options, stage, tokens);
    int64_t truncated = 0;
    const std::vector<std::string> all = {"xyz", "v", "", "uvw"};
    for (size_t i = 0; i < all.size(); ++i) {
      encoder.add(all[i], truncated);
      if ((i + 1) % batch == 0) encoder.end_batch(samples);
    }
    encoder.end_batch(samples);
    std::vector<std::string> texts;
    for (const Sample& sample : samples)
      texts.push_back(tokens.decode(sample.input_ids, SpecialTokens::kKeep));
    return texts;
  };
  using Texts = std::vector<std::string>;
  const std::string e = "<|im_end|>";
  BOOST_TEST(blocks({3, TextCut::kBlocks}, 1000) ==
             (Texts{"xyz", e + "v" + e, e + "uv"}));
  BOOST_TEST(blocks({3, TextCut::kBlocks}, 2) == (Texts{"xyz", e + "v" + e, e + "uv"}));
  BOOST_TEST(blocks({4, TextCut::kBlocks}, 1) == (Texts{"xyz" + e, "uvw" + e}));
  BOOST_TEST(blocks({3, TextCut::kTruncate}, 1000) == (Texts{"xyz", "v" + e, e, "uvw"}));
  BOOST_TEST(blocks({3, TextCut::kPieces}, 1000) ==
             (Texts{"xyz", e, "v" + e, e, "uvw", e}));
}

BOOST_AUTO_TEST_CASE(the_padding_token_is_never_trained) {
  const test::ScratchFolder folder;
  folder.write("tokenizer.json", test::small_tokenizer().dump());
  folder.write("tokenizer_config.json",
               R"({"eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"})");
  const Tokenizer tokens = Tokenizer::load(folder.path());
  const StageTokens stage = stage_tokens(nullptr, tokens);
  PretrainEncoder encoder({4, TextCut::kTruncate}, stage, tokens);
  std::vector<Sample> samples;
  int64_t truncated = 0;
  encoder.add("xy", truncated);
  encoder.end_batch(samples);
  BOOST_REQUIRE(samples.size() == 1u);
  BOOST_TEST(samples[0].input_ids.back() == stage.eos_id);
  BOOST_TEST(samples[0].labels.back() == kIgnoreLabel);
  BOOST_TEST(samples[0].labels.front() == samples[0].input_ids.front());
}

BOOST_AUTO_TEST_CASE(a_stop_word_replaces_the_end_of_text_and_must_exist) {
  const Tokenizer tokens = tokenizer();
  BOOST_TEST(stage_tokens(&find_template("qwen3"), tokens).eos == "<|im_end|>");
  BOOST_TEST(stage_tokens(&find_template("qwen3"), tokens).pad_id ==
             *tokens.token_id("<|endoftext|>"));
  auto file = test::small_tokenizer();
  file["added_tokens"].clear();
  const test::ScratchFolder folder;
  folder.write("tokenizer.json", file.dump());
  const Tokenizer bare = Tokenizer::load(folder.path());
  const auto error =
      test::user_error([&] { stage_tokens(&find_template("qwen3"), bare); });
  BOOST_TEST(error.find("has no token '<|im_end|>'") != error.npos, error);
}

BOOST_AUTO_TEST_SUITE_END()
