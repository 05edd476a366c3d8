// Owns the declarations of [data]; read by the key table.
#include "key_table.hpp"

namespace mtrain::config {

namespace {

void declare_sources(SectionKeys<Data>& data) {
  data.add("dataset", &Data::dataset, {}, any_value(),
           "names of entries in dataset_dir/dataset_info.json");
  data.add("eval_dataset", &Data::eval_dataset, {}, any_value(),
           "entries to evaluate on; instead of val_size");
  data.add_path("dataset_dir", &Data::dataset_dir, "data",
                "folder that holds dataset_info.json and the files it names");
  data.add("template", &Data::template_, "",
           one_of_or_empty({"qwen", "qwen3", "qwen3_nothink", "qwen3_vl",
                            "qwen3_vl_nothink", "qwen3_5", "qwen3_5_nothink", "qwen3_6",
                            "qwen3_8", "chatml", "default", "empty"}),
           "chat template; null: as the tokenizer's own chat template shows");
  data.add("cutoff_len", &Data::cutoff_len, 2048, between(1, kMostTokens),
           "tokens a sample keeps at most");
  data.add("max_samples", &Data::max_samples, {}, at_least(1),
           "samples taken of each dataset at most; null: all");
}

void declare_encoding(SectionKeys<Data>& data) {
  data.add("packing", &Data::packing, {}, any_value(),
           "put several samples into one row; null: only for stage pt");
  data.add("neat_packing", &Data::neat_packing, false, any_value(),
           "packing where samples of a row do not see each other; sft only");
  data.add("pt_packing", &Data::pt_packing, PtPacking::kBlocks, any_value(),
           "what packing does with texts of stage pt; blocks: joins them and cuts, so "
           "that "
           "texts of a block see each other; documents: cuts only what is longer than "
           "cutoff_len, and no text sees another")
      .with_note("Not a key of the reference, which makes blocks.");
  data.add("train_on_prompt", &Data::train_on_prompt, false, any_value(),
           "train on the prompts too; sft only");
  data.add("mask_history", &Data::mask_history, false, any_value(),
           "train on the last answer of a conversation only; sft only");
  data.add(
      "enable_thinking", &Data::enable_thinking, true, any_value(),
      "reasoning templates: true trains empty thoughts, false masks them, null keeps "
      "them where given");
  data.add("preserve_thinking", &Data::preserve_thinking, {}, any_value(),
           "keep the thoughts of earlier answers; null: as the template does (qwen3_8 "
           "keeps them)");
  data.add("reasoning_effort", &Data::reasoning_effort, ReasoningEffort::kXHigh,
           any_value(), "what the model is told of its effort; template = qwen3_8 only");
  data.add("default_system", &Data::default_system, {}, any_value(),
           "system message of samples without one; null: the template's");
  data.add("tool_format", &Data::tool_format, {}, any_value(),
           "how tools and calls are written; null: the template's");
  data.add("compat_version", &Data::compat_version, CompatVersion::k2026November,
           any_value(),
           "the LLaMA-Factory whose samples are made, where versions differ: that of "
           "August or of November 2026")
      .with_note("Not a key of the reference. docs/data.md lists what differs.");
}

void declare_mixing(SectionKeys<Data>& data) {
  data.add("val_size", &Data::val_size, 0.0, between(0, kMostSeed),
           "samples kept for evaluation: a share below 1, a count from 1 on");
  data.add("mix_strategy", &Data::mix_strategy, MixStrategy::kConcat, any_value(),
           "how several datasets are joined");
  data.add("interleave_probs", &Data::interleave_probs, {}, between(0, 1),
           "probability of each dataset when interleaved");
  data.add("preprocessing_batch_size", &Data::preprocessing_batch_size, 1000, at_least(1),
           "records packed together, or joined and cut together for stage pt");
  data.add("skip_malformed", &Data::skip_malformed, false, any_value(),
           "leave malformed records out, and say which; false: refuse the dataset");
  data.add_path("tokenized_path", &Data::tokenized_path, "",
                "token store (HDF5): mprep writes it, mtrain reads it");
  data.add("shuffle", &Data::shuffle, true, any_value(),
           "new order of samples in each epoch")
      .with_note(
          "The reference's Megatron path never shuffles; compat = mca does as it.");
  data.add("data_seed", &Data::data_seed, {}, at_least(0),
           "seed of the order of samples; null: seed");
  data.add("preprocessing_num_workers", &Data::preprocessing_num_workers, {}, at_least(1),
           "packing and blocks of stage pt: as if that many processes of the reference "
           "each took a share of the records and cut it into batches; null: one")
      .with_note("mprep splits its work over its ranks, whatever stands here.");
}

}  // namespace

void declare_data(std::vector<Key>& keys) {
  SectionKeys<Data> data(keys, "data", &Deck::data);
  declare_sources(data);
  declare_encoding(data);
  declare_mixing(data);
}

}  // namespace mtrain::config
