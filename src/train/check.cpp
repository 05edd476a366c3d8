// Owns mtrain --check: reads what a run would read and tells all faults together; writes
// nothing.
#include <algorithm>
#include <filesystem>
#include <limits>
#include <utility>

#include "batches.hpp"
#include "layout.hpp"
#include "model_files.hpp"
#include "model_rules.hpp"
#include "mtrain/base/figures.hpp"
#include "mtrain/base/log.hpp"
#include "mtrain/config/parse.hpp"
#include "mtrain/data/source_check.hpp"
#include "mtrain/train/run.hpp"
#include "output_check.hpp"
#include "pair_loss.hpp"
#include "plan.hpp"
#include "reference_cache.hpp"
#include "remedy.hpp"
#include "resume.hpp"
#include "resume_changes.hpp"
#include "side_files.hpp"
#include "token_stores.hpp"

namespace mtrain::train {
namespace {

namespace fs = std::filesystem;

/// Records of each dataset that are encoded unless all are asked for.
constexpr int64_t kSampledRecords = 500;

class RunCheck {
 public:
  RunCheck(const config::ParsedDeck& parsed, const CheckRequest& request)
      : parsed_(parsed), deck_(parsed.deck), request_(request) {}

  CheckResult run() {
    const bool described = faults().check([&] {
      description_ = read_model_description(deck_.model);
      read(cat("model: ", description_.path));
    });
    if (described) check_model();
    check_data();
    faults().check([&] {
      refuse_model_as_output(deck_, deck_.checkpoint.output_dir);
      require_writable(deck_.checkpoint.output_dir);
      read(cat("output_dir: ", deck_.checkpoint.output_dir, " can be written"));
    });
    check_export();
    faults().check([&] { check_named_checkpoint(deck_); });
    if (laid_out_)
      faults().check([&] { check_resuming(deck_, description_, request_.plan.ranks); });
    result_.text += "checked\n";
    for (const auto& line : read_) result_.text += cat("  ", line, "\n");
    return std::move(result_);
  }

 private:
  FaultList& faults() { return result_.faults; }
  void read(std::string line) { read_.push_back(std::move(line)); }

  void check_model() {
    for (const auto& warning : keys_without_effect(parsed_, *description_.config))
      log::warning(warning);
    for (const auto& remark : remarks_on(description_, deck_.model.dtype))
      read("note: " + remark);
    const bool divides =
        faults().check([&] { config::validate_layout(deck_, request_.plan.ranks); });
    laid_out_ = divides && faults().check([&] {
      check_layout(deck_, *description_.config, request_.plan.ranks);
    });
    check_weights("weights", deck_.model.model_name_or_path);
    check_weights("ref_model", deck_.dpo.ref_model);
    if (laid_out_) faults().check([&] { plan(); });
  }

  void check_weights(const std::string& what, const std::string& folder) {
    if (folder.empty()) return;
    faults().check([&] {
      const auto source = open_model(*description_.config, folder);
      read(cat(what, ": headers of ", with_commas(int64_t(source->tensors().size())),
               " tensors in ", folder));
    });
  }

  void plan() {
    const Plan made = make_plan(deck_, *description_.config, request_.plan);
    result_.text += made.text;
    if (made.no_room.empty() || request_.allow_oom) return;
    faults().add(UserError(cat("it does not fit: ", made.no_room),
                           "take the keys that the plan above ends with, or go on "
                           "with --allow-oom"));
  }

  void check_data() {
    bool found = false;
    if (uses_reference_file()) faults().check([&] { require_reference_file(deck_.dpo); });
    if (!faults().check([&] { found = store_exists(deck_.data); })) return;
    const std::string& path = deck_.data.tokenized_path;
    auto options = prepare_options(deck_, path);
    if (!found) return check_sources(options, true);
    faults().check([&] { compare_given_stores(deck_); });
    check_store_at(path, true);
    if (!options.eval_dataset.empty()) {
      options.dataset = std::exchange(options.eval_dataset, {});
      options.val_size = 0;
      return check_sources(options, false);
    }
    const std::string& eval_path = options.eval_output_path;
    if (faults().check([&] { require_evaluation(deck_, eval_path); }) &&
        fs::exists(eval_path))
      check_store_at(eval_path, false);
  }

  void check_store_at(const std::string& path, bool trains) {
    faults().check([&] {
      const int64_t any = std::numeric_limits<int64_t>::max();
      check_store(path, deck_.train.stage,
                  description_.config ? description_.config->vocab_size() : any);
      const data::TokenStoreReader store(path);
      read(cat("token store: ", path, ": all ", with_commas(store.num_samples()),
               " samples"));
      if (trains) require_step(store.num_rows(), true);
      if (uses_reference_file() && description_.config)
        read_reference(deck_, description_, store);
    });
  }

  bool uses_reference_file() const {
    return deck_.train.stage == config::Stage::kDpo &&
           needs_reference(deck_.dpo.pref_loss) && !deck_.dpo.ref_log_probs.empty();
  }

  void check_sources(const data::PrepareOptions& options, bool trains) {
    const auto sources = data::check_sources(
        options, request_.all_records ? data::kAllRecords : kSampledRecords);
    for (const auto& line : sources.read) read(line);
    const std::string found = remarks(sources.seen);
    if (!found.empty()) read("found" + found);
    for (const auto& doubt : sources.doubts) log::warning(doubt);
    faults().add(sources.faults, kDataRemedy);
    if (trains && sources.train_rows)
      faults().check([&] { require_step(*sources.train_rows, sources.complete); });
    if (description_.config) {
      faults().check([&] {
        refuse_foreign_id("dataset", sources.largest_id,
                          description_.config->vocab_size());
      });
    }
    if (sources.short_answers > 0 && deck_.train.stage == config::Stage::kDpo)
      faults().add(UserError(cat(sources.short_answers,
                                 " answers of the pairs read have "
                                 "fewer than two tokens"),
                             "leave these pairs out of the data, or raise cutoff_len"));
  }

  /// A step must find as many rows as it takes.
  void require_step(int64_t rows, bool exact) {
    if (!laid_out_) return;
    const int ranks = config::data_parallel_size(deck_, request_.plan.ranks);
    const data::Sampler sampler(sampler_options(deck_, rows, ranks));
    read(cat("steps of an epoch: ", exact ? "" : "at most ",
             with_commas(sampler.steps_per_epoch())));
  }

  void check_export() {
    if (!description_.config) return;
    faults().check([&] {
      const SideFiles files =
          with_remedy(kModelRemedy, [&] { return side_files(deck_, description_); });
      std::vector<std::string> names;
      for (const auto& file : files) names.push_back(file.name);
      const bool tokenizer = std::ranges::find(names, "tokenizer.json") != names.end();
      read(cat("for the exported model: ", join(names, ", "),
               tokenizer ? "" : ", and no tokenizer.json"));
    });
  }

  const config::ParsedDeck& parsed_;
  const config::Deck& deck_;
  const CheckRequest& request_;
  ModelDescription description_;
  bool laid_out_ = false;
  CheckResult result_;
  std::vector<std::string> read_;
};

}  // namespace

CheckResult check_run(const config::ParsedDeck& parsed, const CheckRequest& request) {
  return RunCheck(parsed, request).run();
}

}  // namespace mtrain::train
