// Owns the rules over a preparation's options and results; called before anything is read
// and before a store is closed.
#include "prepare_rules.hpp"

#include "chat_template.hpp"
#include "mtrain/base/error.hpp"

namespace mtrain::data {
namespace {

void refuse(bool fault, std::string_view what, std::string_view remedy) {
  if (fault) throw UserError(std::string(what), std::string(remedy));
}

}  // namespace

void check_options(const PrepareOptions& o) {
  const bool sft = o.stage == Stage::kSft;
  refuse(o.dataset.empty() && o.eval_dataset.empty(), "no dataset is given",
         "set dataset");
  refuse(o.cutoff_len < 2, cat("cutoff_len = ", o.cutoff_len, " is below 2"),
         "set cutoff_len to the longest sample you want, for instance 2048");
  refuse(o.preprocessing_batch_size < 1, "preprocessing_batch_size is below 1",
         "set preprocessing_batch_size = 1000");
  refuse(o.preprocessing_num_workers < 1, "preprocessing_num_workers is below 1",
         "set preprocessing_num_workers = 1");
  refuse(!sft && (o.train_on_prompt || o.mask_history),
         "train_on_prompt and mask_history are for stage sft only", "remove them");
  refuse(o.train_on_prompt && o.mask_history,
         "train_on_prompt and mask_history exclude each other",
         "set one of them to false");
  refuse(!sft && o.neat_packing, "neat_packing is for stage sft only",
         "set neat_packing = false");
  refuse(o.documents_apart && (o.stage != Stage::kPt || !o.packing.value_or(true)),
         "pt_packing = documents is for packed texts of stage pt", "remove it");
  refuse(o.val_size > 0 && !o.eval_dataset.empty(),
         "val_size and eval_dataset exclude each other", "remove one of them");
  refuse(!o.interleave_probs.empty() && o.mix_strategy == MixStrategy::kConcat,
         "interleave_probs is given, but mix_strategy = concat joins the datasets whole",
         "set mix_strategy = interleave_under, or remove interleave_probs");
  if (!o.template_name.empty()) find_template(o.template_name);
  if (o.tool_format) find_tool_format(*o.tool_format);
}

void refuse_faults(int64_t count, const std::vector<std::string>& shown) {
  const int64_t rest = count - static_cast<int64_t>(shown.size());
  throw UserError(
      cat(count, " malformed record", count == 1 ? "" : "s", ":\n  ", join(shown, "\n  "),
          rest > 0 ? cat("\n  and ", rest, " more") : ""),
      "correct or remove these records, or set skip_malformed = true");
}

void require_something_to_train(const PrepareOptions& options,
                                const PreparedStore& store) {
  const PrepareStats& stats = store.stats;
  if (stats.samples == 0)
    throw UserError(
        cat("none of the ", stats.records, " records gives a sample",
            store.left_out.empty() ? "" : ":\n  ", join(store.left_out, "\n  ")),
        options.stage == Stage::kPt
            ? cat("all texts together are shorter than cutoff_len = ", options.cutoff_len,
                  ": lower it, or set packing = false")
            : "give records with a response, and check the columns in dataset_info.json");
  if (stats.trained_positions == 0)
    throw UserError(cat("all labels of the ", stats.samples,
                        " samples are masked: nothing would be trained"),
                    "raise cutoff_len, or check the responses of the dataset");
}

}  // namespace mtrain::data
