// Finds or prepares token stores and checks them before anything is trained.
#include "token_stores.hpp"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <utility>

#include "model_files.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/base/log.hpp"
#include "mtrain/base/timer.hpp"
#include "output_lock.hpp"
#include "remedy.hpp"
#include "stop_vote.hpp"
#include "store_leftovers.hpp"

namespace mtrain::train {
namespace {

namespace fs = std::filesystem;

constexpr double kProgressSeconds = 5;

void report(const std::vector<data::PreparedStore>& stores, double seconds) {
  double tokens = 0;
  for (const auto& store : stores) {
    tokens += double(store.stats.tokens);
    log::info(cat("data: ", store.path, ": ", store.stats.samples, " samples of ",
                  store.stats.records, " records, ",
                  human_count(double(store.stats.tokens)), " tokens, ",
                  human_count(double(store.stats.trained_positions)), " trained",
                  remarks(store)));
  }
  log::info(cat("data: prepared in ", human_duration(seconds), ", ",
                human_count(tokens / seconds), " tokens/s"));
}

/// A rank's share of the parts: the ranks take them by turns.
class Share {
 public:
  Share(data::Preparation& preparation, const comm::Session& session)
      : preparation_(preparation), session_(session), next_(session.rank()) {}

  bool done() const { return next_ >= preparation_.parts(); }

  /// Encodes parts for some seconds; rank 0 tells of its own progress.
  void encode() {
    const Stopwatch round;
    while (!done() && round.seconds() < kProgressSeconds) {
      const auto encoded = preparation_.encode(next_);
      tokens_ += encoded.value_or(0);
      if (!encoded) ++kept_;
      next_ += session_.world_size();
    }
    if (done()) return;
    log::info(cat("data: part ", next_ - session_.world_size() + 1, " of ",
                  preparation_.parts(), ", ",
                  human_count(double(tokens_) / watch_.seconds() * session_.world_size()),
                  " tokens/s"));
  }
  int64_t kept() const { return kept_; }

 private:
  data::Preparation& preparation_;
  const comm::Session& session_;
  const Stopwatch watch_;
  int64_t next_, tokens_ = 0, kept_ = 0;
};

/// The ranks meet every few seconds: one may have been asked to stop, or have failed.
void encode_together(data::Preparation& preparation, const comm::Session& session) {
  Share share(preparation, session);
  std::vector<std::string> missing;
  do {
    stop_where_asked(session);
    session.agree([&] { with_remedy(kDataRemedy, [&] { share.encode(); }); });
    missing = session.all_gather_text(share.done() ? "" : "parts");
  } while (std::ranges::any_of(missing, [](const auto& text) { return !text.empty(); }));
  if (share.kept() > 0)
    log::info(
        cat("data: goes on: ", share.kept(), " parts of this rank were there already"));
  stop_where_asked(session);
}

/// Why the stores that `options` ask for have to be made, as rank 0 sees it; "" where
/// they are there. Collective.
std::string reason_to_prepare(const data::PrepareOptions& options,
                              const comm::Session& session) {
  std::string reason;
  session.agree([&] {
    if (session.rank() == 0)
      reason = with_remedy(kDataRemedy, [&] { return data::reason_to_prepare(options); });
  });
  reason = session.broadcast_text(reason);
  if (reason.empty()) log::info(cat("data: ", options.output_path, " is up to date"));
  return reason;
}

/// Makes the stores that `options` ask for, unless they are there. Collective.
void prepare_together(const data::PrepareOptions& options, const comm::Session& session) {
  const Stopwatch watch;
  if (reason_to_prepare(options, session).empty()) return;
  const auto lock = lock_for_all(session, options.output_path + kFileLock,
                                 "the token store " + options.output_path);
  // Another may have made it meanwhile.
  const std::string reason = reason_to_prepare(options, session);
  if (reason.empty()) return;
  log::info(cat("data: preparing, as ", reason));
  session.agree([&] {
    if (session.rank() == 0) remove_store_leftovers(options.output_path);
  });
  std::unique_ptr<data::Preparation> preparation;
  session.agree([&] {
    preparation = with_remedy(
        kDataRemedy, [&] { return std::make_unique<data::Preparation>(options); });
  });
  encode_together(*preparation, session);
  session.agree([&] {
    if (session.rank() != 0) return;
    report(with_remedy(kDataRemedy, [&] { return preparation->finish(); }),
           watch.seconds());
  });
}

/// Refuses a store that was made from something else than the deck's datasets and keys.
void compare_given(const std::string& path, const data::PrepareOptions& options) {
  const auto comparison =
      with_remedy(kDataRemedy, [&] { return data::compare_store(path, options); });
  if (!comparison.known) {
    log::warning(cat("dataset has no effect: training reads the token store ", path,
                     ", which does not say what it was made from"));
    return;
  }
  if (!comparison.differences.empty()) {
    throw UserError(cat("token store ", path, " was not made by this deck:\n  ",
                        join(comparison.differences, "\n  ")),
                    "make it again (mprep with this deck), write back what differs, give "
                    "another tokenized_path, or remove dataset to train on the store as "
                    "it is");
  }
  for (const auto& reason : comparison.unread)
    log::warning(
        cat("data: ", path, " cannot be compared with all it was made from: ", reason));
  log::info(cat("data: ", path, " is up to date"));
}

/// Both answers of a pair must reach the model.
void check_pairs(const data::TokenStoreReader& store) {
  for (int64_t i = 0; i < store.num_samples(); ++i) {
    if (store.sample_length(i) >= 2) continue;
    throw UserError(cat(store.path(), ": the ", i % 2 == 0 ? "chosen" : "rejected",
                        " sample of pair ", i / 2, " has fewer than two tokens"),
                    "leave the pair out of the data, or raise cutoff_len");
  }
}

data::MixStrategy mix_strategy(config::MixStrategy strategy) {
  switch (strategy) {
    case config::MixStrategy::kConcat:
      return data::MixStrategy::kConcat;
    case config::MixStrategy::kInterleaveUnder:
      return data::MixStrategy::kInterleaveUnder;
    case config::MixStrategy::kInterleaveOver:
      return data::MixStrategy::kInterleaveOver;
    case config::MixStrategy::kInterleaveOnce:
      break;
  }
  return data::MixStrategy::kInterleaveOnce;
}

}  // namespace

std::string remarks(const data::PreparedStore& store) {
  const data::PrepareStats& stats = store.stats;
  const std::pair<int64_t, const char*> counts[] = {
      {stats.truncated, "longer than cutoff_len, cut"},
      {stats.empty_answers, "with an empty answer"},
      {stats.special_tokens, "with special tokens written in their texts"},
      {stats.nul_characters, "with NUL characters"},
      {stats.dropped, "dropped"},
      {stats.malformed, "malformed, skipped"},
  };
  std::string text;
  for (const auto& [count, what] : counts)
    if (count > 0) text += cat("\n  ", count, " records ", what);
  for (const auto& line : store.left_out) text += cat("\n    ", line);
  if (stats.rows > 0)
    text += cat("\n  ", stats.rows, " packed rows, ",
                static_cast<int>(store.fill * 1000 + 0.5) / 10.0, " % filled");
  return text;
}

std::string eval_store_path(const std::string& train_path) {
  const fs::path path(train_path);
  return (path.parent_path() /
          (path.stem().string() + ".eval" + path.extension().string()))
      .string();
}

data::Stage data_stage(config::Stage stage) {
  switch (stage) {
    case config::Stage::kPt:
      return data::Stage::kPt;
    case config::Stage::kSft:
      return data::Stage::kSft;
    case config::Stage::kDpo:
      return data::Stage::kDpo;
  }
  return data::Stage::kSft;
}

data::CompatVersion compat_version(config::CompatVersion version) {
  return version == config::CompatVersion::k2026August
             ? data::CompatVersion::k2026August
             : data::CompatVersion::k2026November;
}

data::ReasoningEffort reasoning_effort(config::ReasoningEffort effort) {
  switch (effort) {
    case config::ReasoningEffort::kXHigh:
      return data::ReasoningEffort::kXHigh;
    case config::ReasoningEffort::kMedium:
      return data::ReasoningEffort::kMedium;
    case config::ReasoningEffort::kLow:
      break;
  }
  return data::ReasoningEffort::kLow;
}

data::PrepareOptions prepare_options(const config::Deck& deck,
                                     const std::string& output_path) {
  const auto& d = deck.data;
  data::PrepareOptions options{};
  options.stage = data_stage(deck.train.stage);
  options.dataset = d.dataset;
  options.eval_dataset = d.eval_dataset;
  options.dataset_dir = d.dataset_dir;
  options.template_name = d.template_;
  // The reference's Megatron path reads one token more, which is only ever a target.
  const bool mca = deck.train.compat == config::Compat::kMca;
  options.cutoff_len = d.cutoff_len + (mca ? 1 : 0);
  options.max_samples = d.max_samples;
  options.packing = d.packing;
  options.neat_packing = d.neat_packing;
  options.documents_apart = d.pt_packing == config::PtPacking::kDocuments;
  options.train_on_prompt = d.train_on_prompt;
  options.mask_history = d.mask_history;
  options.enable_thinking = d.enable_thinking;
  options.preserve_thinking = d.preserve_thinking;
  options.compat_version = compat_version(d.compat_version);
  options.reasoning_effort = reasoning_effort(d.reasoning_effort);
  options.default_system = d.default_system;
  options.tool_format = d.tool_format;
  options.preprocessing_batch_size = d.preprocessing_batch_size;
  options.preprocessing_num_workers = d.preprocessing_num_workers.value_or(1);
  options.mix_strategy = mix_strategy(d.mix_strategy);
  options.interleave_probs = d.interleave_probs;
  options.val_size = d.val_size;
  options.seed = static_cast<uint64_t>(deck.train.seed);
  options.skip_malformed = d.skip_malformed;
  options.tokenizer_dir = tokenizer_dir(deck.model).string();
  options.output_path = output_path;
  options.eval_output_path = eval_store_path(output_path);
  return options;
}

void prepare_stores(const config::Deck& deck, const comm::Session& session) {
  prepare_together(prepare_options(deck, deck.data.tokenized_path), session);
}

bool store_exists(const config::Data& data) {
  const std::string& given = data.tokenized_path;
  const bool found = !given.empty() && fs::exists(given);
  if (!found && data.dataset.empty()) {
    throw UserError(cat("tokenized_path: no file ", given),
                    "give an existing token store, or dataset to make it from");
  }
  return found;
}

void compare_given_stores(const config::Deck& deck) {
  const std::string& path = deck.data.tokenized_path;
  if (deck.data.dataset.empty() || !store_exists(deck.data)) return;
  const auto options = prepare_options(deck, path);
  compare_given(path, options);
  const bool evaluates = deck.data.val_size > 0 || !deck.data.eval_dataset.empty();
  if (evaluates && deck.train.do_eval && fs::exists(options.eval_output_path))
    compare_given(options.eval_output_path, data::evaluation_options(options));
}

StorePaths token_stores(const config::Deck& deck, const comm::Session& session) {
  const std::string given = deck.data.tokenized_path;
  const std::string path =
      given.empty() ? (fs::path(deck.checkpoint.output_dir) / "tokens.h5").string()
                    : given;
  StorePaths stores{path, std::nullopt};
  const auto options = prepare_options(deck, path);
  const std::string eval_path = options.eval_output_path;
  bool found = false;
  session.agree([&] {
    found = store_exists(deck.data);
    if (session.rank() == 0) compare_given_stores(deck);
  });
  bool eval_found = false;
  session.agree([&] { eval_found = fs::exists(eval_path); });
  if (!found) {
    prepare_together(options, session);
  } else if (!options.eval_dataset.empty() && !eval_found) {
    prepare_together(data::evaluation_options(options), session);
  }
  // A store beside one that was just made is ours only where the deck asks for it.
  const bool asked = found || deck.data.val_size > 0 || !deck.data.eval_dataset.empty();
  session.agree([&] {
    if (asked && fs::exists(eval_path)) stores.eval = eval_path;
  });
  return stores;
}

void require_evaluation(const config::Deck& deck, const std::string& eval_path) {
  if (!deck.train.do_eval || fs::exists(eval_path)) return;
  throw UserError(
      cat("do_eval = true, but there is no evaluation store ", eval_path),
      "write do_eval = false, give eval_dataset, or let mprep make the stores "
      "with val_size");
}

void refuse_foreign_id(const std::string& path, int64_t id, int64_t vocab_size) {
  if (id < vocab_size) return;
  throw UserError(
      cat(path, ": token id ", id, " is beyond the model's vocabulary of ", vocab_size),
      "prepare the data with the tokenizer of this model");
}

std::string check_store(const std::string& path, config::Stage stage,
                        int64_t vocab_size) {
  const data::TokenStoreReader store(path);
  if (!store.has_checksums())
    log::info(cat("data: ", path, " has no checksums: damage in it would go unnoticed"));
  if (store.num_samples() == 0) {
    throw UserError(cat(path, ": the token store holds no sample"),
                    "check dataset and max_samples");
  }
  if (store.attributes().stage != data_stage(stage)) {
    throw UserError(cat(path, ": the token store was made for another stage than ",
                        config::to_string(stage)),
                    "set stage to the store's, or prepare it again");
  }
  if (stage == config::Stage::kDpo) check_pairs(store);
  const auto scan = store.scan();
  refuse_foreign_id(path, scan.max_token_id, vocab_size);
  if (scan.trained_positions == 0) {
    throw UserError(cat(path, ": every label is masked (-100), nothing would be trained"),
                    "check template, cutoff_len and the answers of the dataset");
  }
  return store.content_id();
}

}  // namespace mtrain::train
