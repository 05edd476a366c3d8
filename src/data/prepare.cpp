// Owns the way from datasets to a token store; called by mprep, and by the trainer where
// a deck names datasets but no store.
#include "mtrain/data/prepare.hpp"

#include <functional>
#include <memory>

#include "alpaca.hpp"
#include "dataset_info.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/base/timer.hpp"
#include "mtrain/data/token_store.hpp"
#include "pretrain_encoder.hpp"
#include "record_reader.hpp"
#include "sft_encoder.hpp"

namespace mtrain::data {
namespace {

void refuse(bool fault, std::string_view what, std::string_view remedy) {
  if (fault) throw UserError(std::string(what), std::string(remedy));
}

// Combinations the reference refuses too, then what is not built yet.
void check(const PrepareOptions& options) {
  const bool sft = options.stage == Stage::kSft;
  refuse(options.dataset.empty(), "no dataset is given", "set dataset");
  refuse(options.cutoff_len < 2, cat("cutoff_len = ", options.cutoff_len, " is below 2"),
         "set cutoff_len to the longest sample you want, for instance 2048");
  refuse(options.preprocessing_batch_size < 1, "preprocessing_batch_size is below 1",
         "set preprocessing_batch_size = 1000");
  refuse(!sft && (options.train_on_prompt || options.mask_history),
         "train_on_prompt and mask_history are for stage sft only", "remove them");
  refuse(options.train_on_prompt && options.mask_history,
         "train_on_prompt and mask_history exclude each other",
         "set one of them to false");
  refuse(!sft && options.neat_packing, "neat_packing is for stage sft only",
         "set neat_packing = false");
  refuse(options.stage == Stage::kDpo, "stage dpo can't be prepared yet",
         "use pt or sft");
  refuse(sft && (options.neat_packing || options.packing.value_or(false)),
         "packing and neat_packing are not supported yet for stage sft",
         "set packing = false and neat_packing = false");
  refuse(options.tool_format.has_value(), "tool_format is not supported yet",
         "remove it");
  refuse(sft && options.template_name.empty(), "stage sft needs a template",
         "set template, for instance template = qwen3");
}

// Packing that the user asked for costs one token, packing that is the default does not.
PretrainOptions pretrain_options(const PrepareOptions& options) {
  const int64_t cutoff_len =
      options.cutoff_len - (options.packing.value_or(false) ? 1 : 0);
  return {cutoff_len, options.packing.value_or(true), options.preprocessing_batch_size};
}

SftOptions sft_options(const PrepareOptions& options) {
  return {options.cutoff_len, options.train_on_prompt, options.mask_history,
          options.enable_thinking, options.preserve_thinking};
}

// Collects samples into the store and counts them.
class Collector {
 public:
  Collector(TokenStoreWriter& writer, PrepareStats& stats)
      : writer_(writer), stats_(stats) {}
  void operator()(const Sample& sample) {
    writer_.append(sample);
    ++stats_.samples;
    stats_.tokens += static_cast<int64_t>(sample.input_ids.size());
    stats_.trained_positions += trained_positions(sample.labels);
  }

 private:
  TokenStoreWriter& writer_;
  PrepareStats& stats_;
};

// Converted records of all datasets, one after the other, at most max_samples of each.
// Files are read to their end all the same: a fault behind the last record used is a
// fault.
void for_each_record(const PrepareOptions& options, FaultLog& faults, PrepareStats& stats,
                     const std::function<void(const AlignedRecord&)>& take) {
  for (const auto& entry :
       read_dataset_info(options.dataset_dir, options.dataset, options.stage)) {
    AlpacaConverter converter(entry, faults);
    AlignedRecord aligned;
    int64_t left = options.max_samples.value_or(INT64_MAX);
    read_records(entry.path, faults, [&](Record&& record) {
      if (!converter.convert(record, aligned) || faults.count() > 0) return;
      if (--left < 0) return;
      ++stats.records;
      take(aligned);
    });
    faults.throw_if_any();
    converter.check_columns();
  }
}

void encode_pretrain(const PrepareOptions& options, const Tokenizer& tokenizer,
                     Collector collect, FaultLog& faults, PrepareStats& stats) {
  const TemplateSpec* spec =
      options.template_name.empty() ? nullptr : &find_template(options.template_name);
  PretrainEncoder encoder(pretrain_options(options), stage_tokens(spec, tokenizer),
                          tokenizer, collect);
  for_each_record(options, faults, stats,
                  [&](const AlignedRecord& record) { encoder.add(record); });
  encoder.finish();
}

void encode_sft(const PrepareOptions& options, const Tokenizer& tokenizer,
                Collector collect, FaultLog& faults, PrepareStats& stats) {
  const SftEncoder encoder(sft_options(options), find_template(options.template_name),
                           tokenizer, options.default_system);
  for_each_record(options, faults, stats, [&](const AlignedRecord& record) {
    const auto sample = encoder.encode(record);
    if (sample)
      collect(*sample);
    else
      ++stats.dropped;
  });
}

void require_something_to_train(const PrepareOptions& options,
                                const PrepareStats& stats) {
  if (stats.samples == 0)
    throw UserError(
        cat("none of the ", stats.records, " records gives a sample"),
        options.stage == Stage::kPt
            ? cat("all texts together are shorter than cutoff_len = ", options.cutoff_len,
                  ": lower it, or set packing = false")
            : "give records with a response, and check the columns in dataset_info.json");
  if (stats.trained_positions == 0)
    throw UserError(cat("all labels of the ", stats.samples,
                        " samples are masked: nothing would be trained"),
                    "raise cutoff_len, or check the responses of the dataset");
}

}  // namespace

PrepareStats prepare(const PrepareOptions& options) {
  const Stopwatch watch;
  check(options);
  const Tokenizer tokenizer = Tokenizer::load(options.tokenizer_dir);
  PrepareStats stats{};
  FaultLog faults;
  TokenStoreWriter writer(options.output_path, {options.stage, source_hash(options)});
  const Collector collect(writer, stats);
  if (options.stage == Stage::kPt)
    encode_pretrain(options, tokenizer, collect, faults, stats);
  else
    encode_sft(options, tokenizer, collect, faults, stats);
  require_something_to_train(options, stats);
  writer.finish();
  stats.seconds = watch.seconds();
  return stats;
}

}  // namespace mtrain::data
