// Owns the way from datasets to token stores, cut into parts; called by mprep, and by the
// trainer where a deck names datasets but no store.
#include "mtrain/data/prepare.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <functional>

#include "dataset_rows.hpp"
#include "file_identity.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/base/file.hpp"
#include "mtrain/data/token_store.hpp"
#include "part_encoder.hpp"
#include "prepare_rules.hpp"
#include "store_settings.hpp"

namespace mtrain::data {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kRecordsOfPart = 1000;
constexpr int64_t kMostParts = 4096;

/// The records of one store and their parts.
struct SplitPlan {
  const std::vector<Dataset>* datasets;
  std::vector<RowRef> rows;
  std::string path;
  StoreSettings settings;
  BatchCut cut;
  int64_t first_part;
  std::vector<int64_t> begins;  ///< of the parts, whatever the number of processes

  int64_t parts() const { return static_cast<int64_t>(begins.size()); }
  int64_t end(size_t part) const {
    return part + 1 < begins.size() ? begins[part + 1] : cut.rows();
  }
};

PrepareOptions checked(const PrepareOptions& options) {
  check_options(options);
  return options;
}

}  // namespace

void PrepareStats::add(const PrepareStats& other) {
  for (const auto member :
       {&PrepareStats::records, &PrepareStats::dropped, &PrepareStats::malformed,
        &PrepareStats::truncated, &PrepareStats::empty_answers,
        &PrepareStats::special_tokens, &PrepareStats::nul_characters,
        &PrepareStats::samples, &PrepareStats::rows, &PrepareStats::tokens,
        &PrepareStats::trained_positions})
    this->*member += other.*member;
}

struct Preparation::Impl {
  PrepareOptions options;
  InputWatch inputs;
  StoreSettings train_settings, eval_settings;
  std::string source;  ///< of both
  std::string folder;  ///< of the part files
  std::vector<Dataset> train, eval;
  std::vector<SplitPlan> splits;
  std::unique_ptr<PartEncoder> encoder;

  explicit Impl(const PrepareOptions& given);
  void unless_changed(const std::function<void()>& read) const;
  void plan();
  void add_split(const std::vector<Dataset>& datasets, std::vector<RowRef> rows,
                 const std::string& path, const StoreSettings& settings);
  std::string part_path(int64_t i) const;
  int64_t parts() const;
  Part take_part(int64_t i) const;
  PreparedStore collect(const SplitPlan& split, TokenStoreWriter& writer) const;
  PreparedStore gather(const SplitPlan& split) const;
  void check_columns(const SplitPlan& split, const std::vector<ColumnFacts>& facts) const;
};

Preparation::Impl::Impl(const PrepareOptions& given)
    : options(checked(given)),
      inputs(input_files(options)),
      train_settings(store_settings(options)) {
  const bool separate = !options.eval_dataset.empty();
  eval_settings = separate ? store_settings(evaluation_options(options)) : train_settings;
  source = hash_of(train_settings) + hash_of(eval_settings);
  const fs::path output(options.output_path);
  folder = (output.parent_path() /
            (output.stem().string() + ".parts" + output.extension().string()))
               .string();
}

// What is found wrong in a file that changed is no fault of its own.
void Preparation::Impl::unless_changed(const std::function<void()>& read) const {
  try {
    read();
  } catch (const UserError&) {
    inputs.require_unchanged();
    throw;
  }
  inputs.require_unchanged();
}

// The state of one generator runs through all samplings, those of evaluation last.
void Preparation::Impl::plan() {
  LegacyRandom random(static_cast<uint32_t>(options.seed));
  train = open_datasets(options, options.dataset);
  eval = open_datasets(options, options.eval_dataset);
  Split split =
      split_rows(ordered_rows(options, train, random), options.val_size, options.seed);
  add_split(train, std::move(split.train), options.output_path, train_settings);
  if (!split.eval.empty())
    add_split(train, std::move(split.eval), options.eval_output_path, eval_settings);
  if (!eval.empty())
    add_split(eval, ordered_rows(options, eval, random), options.eval_output_path,
              eval_settings);
}

void Preparation::Impl::add_split(const std::vector<Dataset>& datasets,
                                  std::vector<RowRef> rows, const std::string& path,
                                  const StoreSettings& settings) {
  if (rows.empty()) return;
  const auto count = static_cast<int64_t>(rows.size());
  const BatchCut cut = batch_cut(options, count);
  splits.push_back({&datasets, std::move(rows), path, settings, cut, parts(),
                    cut.parts(std::max(kRecordsOfPart, count / kMostParts))});
}

int64_t Preparation::Impl::parts() const {
  return splits.empty() ? 0 : splits.back().first_part + splits.back().parts();
}

std::string Preparation::Impl::part_path(int64_t i) const {
  return cat(folder, "/part-", i);
}

Part Preparation::Impl::take_part(int64_t i) const {
  auto part = read_part(part_path(i), source);
  if (!part)
    throw Error(cat("part ", i, " of ", folder, " is missing or damaged"),
                "start again; parts that are there are kept");
  return std::move(*part);
}

PreparedStore Preparation::Impl::collect(const SplitPlan& split,
                                         TokenStoreWriter& writer) const {
  PreparedStore store{split.path, {}, {}, 1};
  int64_t faults = 0;
  std::vector<std::string> faulty;
  std::vector<ColumnFacts> facts(split.datasets->size());
  for (int64_t i = 0; i < split.parts(); ++i) {
    const Part part = take_part(split.first_part + i);
    store.stats.add(part.stats);
    faults += part.faults;
    append_shown(faulty, part.faulty);
    append_shown(store.left_out, part.left_out);
    for (size_t d = 0; d < facts.size(); ++d) facts[d].add(part.facts[d]);
    size_t row = 0;
    const auto& row_ends = part.encoded.row_ends;
    for (size_t s = 0; s < part.encoded.samples.size(); ++s) {
      writer.append(part.encoded.samples[s]);
      if (row < row_ends.size() && static_cast<size_t>(row_ends[row]) == s + 1) {
        writer.end_row();
        ++row;
      }
    }
  }
  if (faults > 0) refuse_faults(faults, faulty);
  check_columns(split, facts);
  return store;
}

void Preparation::Impl::check_columns(const SplitPlan& split,
                                      const std::vector<ColumnFacts>& facts) const {
  for (size_t d = 0; d < facts.size(); ++d) (*split.datasets)[d].check_columns(facts[d]);
}

PreparedStore Preparation::Impl::gather(const SplitPlan& split) const {
  TokenStoreWriter writer(
      split.path, {options.stage, hash_of(split.settings), to_text(split.settings)});
  PreparedStore store = collect(split, writer);
  inputs.require_unchanged();
  require_something_to_train(options, store);
  if (store.stats.rows > 0)
    store.fill = static_cast<double>(store.stats.tokens) /
                 static_cast<double>(store.stats.rows * longest_sample(options));
  writer.finish();
  return store;
}

Preparation::Preparation(const PrepareOptions& options)
    : impl_(std::make_unique<Impl>(options)) {
  impl_->unless_changed([&] { impl_->plan(); });
}

Preparation::~Preparation() = default;

int64_t Preparation::parts() const {
  return impl_->parts();
}

std::optional<int64_t> Preparation::encode(int64_t i) {
  Impl& impl = *impl_;
  const std::string path = impl.part_path(i);
  if (part_is_there(path, impl.source)) return std::nullopt;
  const auto next =
      std::find_if(impl.splits.rbegin(), impl.splits.rend(),
                   [&](const SplitPlan& split) { return split.first_part <= i; });
  const auto local = static_cast<size_t>(i - next->first_part);
  if (!impl.encoder) impl.encoder = std::make_unique<PartEncoder>(impl.options);
  make_directory(impl.folder);
  Part part;
  impl.unless_changed([&] {
    part = impl.encoder->encode(*next->datasets, next->rows, next->cut,
                                next->begins[local], next->end(local));
  });
  write_part(path, impl.source, part);
  return part.stats.tokens;
}

std::vector<PreparedStore> Preparation::finish() {
  std::vector<PreparedStore> stores;
  std::exception_ptr fault;
  try {
    impl_->inputs.require_unchanged();
    for (const SplitPlan& split : impl_->splits) stores.push_back(impl_->gather(split));
  } catch (const UserError&) {
    fault = std::current_exception();
  }
  std::error_code ignored;
  fs::remove_all(impl_->folder, ignored);
  if (fault) std::rethrow_exception(fault);
  return stores;
}

std::vector<PreparedStore> prepare(const PrepareOptions& options) {
  Preparation preparation(options);
  for (int64_t i = 0; i < preparation.parts(); ++i) preparation.encode(i);
  return preparation.finish();
}

}  // namespace mtrain::data
