// Owns the encoders of the stages at the level of batches; called by the preparation.
#include "batch_encoder.hpp"

#include "chat_template.hpp"
#include "mtrain/base/error.hpp"
#include "packing.hpp"
#include "pair_encoder.hpp"
#include "pretrain_encoder.hpp"
#include "record_file.hpp"
#include "sft_encoder.hpp"

namespace mtrain::data {
namespace {

TemplateSpec chosen_template(const PrepareOptions& options, const Tokenizer& tokenizer) {
  TemplateSpec spec = options.template_name.empty()
                          ? template_of(tokenizer)
                          : find_template(options.template_name);
  return options.tool_format ? with_tool_format(std::move(spec), *options.tool_format)
                             : spec;
}

ChatTemplate chosen_chat(const PrepareOptions& options, const Tokenizer& tokenizer) {
  return {chosen_template(options, tokenizer), tokenizer,
          ChatOptions{options.default_system, options.compat_version,
                      options.reasoning_effort, options.enable_thinking}};
}

SftOptions sft_options(const PrepareOptions& options, const TemplateSpec& spec) {
  return {longest_sample(options), options.train_on_prompt, options.mask_history,
          options.enable_thinking,
          options.preserve_thinking.value_or(spec.preserves_thinking)};
}

/// Moves the samples of a batch to `out`, packed into rows of `room` tokens; 0: as they
/// are.
void append_batch(std::vector<Sample>& batch, int64_t room, EncodedSamples& out) {
  if (room == 0) {
    for (Sample& sample : batch) out.samples.push_back(std::move(sample));
  } else {
    std::vector<int64_t> lengths;
    for (const Sample& sample : batch)
      lengths.push_back(static_cast<int64_t>(sample.input_ids.size()));
    for (const auto& row : pack_rows(lengths, room)) {
      for (const size_t i : row) out.samples.push_back(std::move(batch[i]));
      out.row_ends.push_back(static_cast<int64_t>(out.samples.size()));
    }
  }
  batch.clear();
}

int64_t room_of(const PrepareOptions& options) {
  return packs_rows(options) ? longest_sample(options) : 0;
}

TextCut text_cut(const PrepareOptions& options) {
  if (!options.packing.value_or(true)) return TextCut::kTruncate;
  return options.documents_apart ? TextCut::kPieces : TextCut::kBlocks;
}

/// Texts, joined and cut, or in rows.
class PretrainBatches final : public BatchEncoder {
 public:
  PretrainBatches(const PrepareOptions& options, const Tokenizer& tokenizer)
      : encoder_({longest_sample(options), text_cut(options)},
                 tokens_of(options, tokenizer), tokenizer),
        room_(room_of(options)) {}

  void add(const AlignedRecord& record, PrepareStats& stats) override {
    if (record.prompt.empty()) throw RecordFault{record.reason};
    encoder_.add(record.prompt[0].content, stats.truncated);
  }
  void end_batch(EncodedSamples& out) override {
    std::vector<Sample> batch;
    encoder_.end_batch(batch);
    append_batch(batch, room_, out);
  }

 private:
  static StageTokens tokens_of(const PrepareOptions& options,
                               const Tokenizer& tokenizer) {
    if (options.template_name.empty()) return stage_tokens(nullptr, tokenizer);
    return stage_tokens(&find_template(options.template_name), tokenizer);
  }

  PretrainEncoder encoder_;
  int64_t room_;  ///< tokens of a row; 0: nothing is packed
};

/// Conversations, packed or not.
class SftBatches final : public BatchEncoder {
 public:
  SftBatches(const PrepareOptions& options, const Tokenizer& tokenizer)
      : chat_(chosen_chat(options, tokenizer)),
        encoder_(sft_options(options, chat_.spec()), chat_, tokenizer),
        room_(room_of(options)) {}

  void add(const AlignedRecord& record, PrepareStats& stats) override {
    if (record.prompt.size() % 2 != 1 || record.response.size() != 1) {
      ++stats.dropped;
      return;
    }
    batch_.push_back(encoder_.encode(record, stats.truncated));
    if (record.response[0].content.empty()) ++stats.empty_answers;
  }

  void end_batch(EncodedSamples& out) override { append_batch(batch_, room_, out); }

 private:
  ChatTemplate chat_;
  SftEncoder encoder_;
  int64_t room_;  ///< tokens of a row; 0: nothing is packed
  std::vector<Sample> batch_;
};

/// Preference pairs: chosen and rejected by turns.
class PairBatches final : public BatchEncoder {
 public:
  PairBatches(const PrepareOptions& options, const Tokenizer& tokenizer)
      : chat_(chosen_chat(options, tokenizer)),
        encoder_(sft_options(options, chat_.spec()), chat_, tokenizer) {}

  void add(const AlignedRecord& record, PrepareStats& stats) override {
    if (record.prompt.size() % 2 != 1 || record.response.size() != 2) {
      ++stats.dropped;
      return;
    }
    auto [chosen, rejected] = encoder_.encode(record, stats.truncated);
    batch_.push_back(std::move(chosen));
    batch_.push_back(std::move(rejected));
    if (record.response[0].content.empty() || record.response[1].content.empty())
      ++stats.empty_answers;
  }

  void end_batch(EncodedSamples& out) override { append_batch(batch_, 0, out); }

 private:
  ChatTemplate chat_;
  PairEncoder encoder_;
  std::vector<Sample> batch_;
};

}  // namespace

bool packs_rows(const PrepareOptions& options) {
  if (options.stage == Stage::kPt) return text_cut(options) == TextCut::kPieces;
  return options.stage == Stage::kSft &&
         (options.neat_packing || options.packing.value_or(false));
}

bool encodes_together(const PrepareOptions& options) {
  return packs_rows(options) ||
         (options.stage == Stage::kPt && text_cut(options) == TextCut::kBlocks);
}

int64_t longest_sample(const PrepareOptions& options) {
  const bool asked = options.neat_packing || options.packing.value_or(false);
  return options.cutoff_len - (asked ? 1 : 0);
}

std::unique_ptr<BatchEncoder> make_batch_encoder(const PrepareOptions& options,
                                                 const Tokenizer& tokenizer) {
  switch (options.stage) {
    case Stage::kPt:
      return std::make_unique<PretrainBatches>(options, tokenizer);
    case Stage::kSft:
      return std::make_unique<SftBatches>(options, tokenizer);
    case Stage::kDpo:
      return std::make_unique<PairBatches>(options, tokenizer);
  }
  MT_CHECK(false, "unknown stage");
  return nullptr;
}

}  // namespace mtrain::data
