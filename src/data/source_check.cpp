// Owns the look at datasets before a run: opens them and encodes a sample; called by
// mtrain --check.
#include "mtrain/data/source_check.hpp"

#include <algorithm>
#include <memory>

#include "dataset_rows.hpp"
#include "mtrain/base/figures.hpp"
#include "part_encoder.hpp"
#include "prepare_rules.hpp"

namespace mtrain::data {
namespace {

/// The records of one store to be.
struct Split {
  const std::vector<Dataset>* datasets;
  std::vector<RowRef> rows;
  bool trains;
};

/// `most` of the items: half of them the first, the others evenly from the rest.
std::vector<RowRef> spread(const std::vector<RowRef>& rows, int64_t most) {
  const auto all = static_cast<int64_t>(rows.size());
  if (all <= most) return rows;
  const int64_t first = most / 2, others = most - first;
  std::vector<RowRef> chosen(rows.begin(), rows.begin() + first);
  for (int64_t i = 0; i < others; ++i)
    chosen.push_back(rows[static_cast<size_t>(first + i * (all - first) / others)]);
  return chosen;
}

/// Up to `most` rows of each of the datasets.
std::vector<RowRef> sample_of(const Split& split, int64_t most) {
  std::vector<std::vector<RowRef>> by_dataset(split.datasets->size());
  for (const RowRef& row : split.rows) by_dataset[row.dataset].push_back(row);
  std::vector<RowRef> chosen;
  for (const auto& rows : by_dataset) {
    const auto some = spread(rows, most);
    chosen.insert(chosen.end(), some.begin(), some.end());
  }
  return chosen;
}

std::string files_of(const DatasetEntry& entry) {
  const size_t more = entry.paths.size() - 1;
  return entry.paths.front() + (more > 0 ? cat(" and ", more, " more files") : "");
}

class Checker {
 public:
  Checker(const PrepareOptions& options, int64_t most) : options_(options), most_(most) {}

  SourceCheck run() {
    const bool sound = faults().check([&] { check_options(options_); });
    const bool opened =
        open(options_.dataset, train_) & open(options_.eval_dataset, eval_);
    const bool encodes = sound && load_encoder();
    if (!opened || !sound || !faults().check([&] { put_in_order(); })) return result_;
    if (encodes) read_records();
    return result_;
  }

 private:
  FaultList& faults() { return result_.faults; }

  bool open(const std::vector<std::string>& names, std::vector<Dataset>& datasets) {
    bool all = true;
    for (const auto& name : names) {
      all &= faults().check([&] {
        for (auto& dataset : open_datasets(options_, {name})) {
          result_.read.push_back(cat("dataset ", name, ": ", with_commas(dataset.size()),
                                     " records in ", files_of(dataset.entry())));
          datasets.push_back(std::move(dataset));
        }
      });
    }
    return all;
  }

  bool load_encoder() {
    return faults().check([&] {
      encoder_ = std::make_unique<PartEncoder>(options_);
      result_.read.push_back(cat("tokenizer of ", options_.tokenizer_dir));
    });
  }

  void put_in_order() {
    LegacyRandom random(static_cast<uint32_t>(options_.seed));
    auto [train, held] = split_rows(ordered_rows(options_, train_, random),
                                    options_.val_size, options_.seed);
    const auto add = [&](const std::vector<Dataset>& datasets, std::vector<RowRef> rows,
                         bool trains) {
      if (!rows.empty()) splits_.push_back({&datasets, std::move(rows), trains});
    };
    add(train_, std::move(train), true);
    add(train_, std::move(held), false);
    if (!eval_.empty()) add(eval_, ordered_rows(options_, eval_, random), false);
  }

  void read_records() {
    int64_t records = 0, taken = 0;
    std::vector<std::vector<RowRef>> chosen;
    for (const Split& split : splits_) {
      chosen.push_back(sample_of(split, most_));
      records += static_cast<int64_t>(split.rows.size());
      taken += static_cast<int64_t>(chosen.back().size());
    }
    result_.complete = taken == records;
    for (size_t s = 0; s < splits_.size(); ++s) {
      // The whole in its own order shares rows as the run will.
      const auto& rows = result_.complete ? splits_[s].rows : chosen[s];
      faults().check([&] { read(splits_[s], rows); });
    }
    if (malformed_ > 0) faults().check([&] { refuse_faults(malformed_, faulty_); });
    result_.read.push_back(
        result_.complete ? cat("records: all ", with_commas(records), " checked")
                         : cat("records: ", with_commas(taken), " of ",
                               with_commas(records), " checked; --check=full reads all"));
  }

  /// Encodes the rows batch by batch, as parts are made of whole batches.
  void read(const Split& split, const std::vector<RowRef>& rows) {
    PreparedStore seen;
    std::vector<ColumnFacts> facts(split.datasets->size());
    const BatchCut cut = batch_cut(options_, static_cast<int64_t>(rows.size()));
    const int64_t malformed_before = malformed_;
    for (int64_t begin = 0; begin < cut.rows(); begin = cut.end_of_batch(begin)) {
      const Part part =
          encoder_->encode(*split.datasets, rows, cut, begin, cut.end_of_batch(begin));
      seen.stats.add(part.stats);
      for (size_t d = 0; d < facts.size(); ++d) facts[d].add(part.facts[d]);
      take(part, seen);
    }
    count_rows(split, seen.stats);
    result_.seen.stats.add(seen.stats);
    result_.has_eval = result_.has_eval || !split.trains;
    if (malformed_ > malformed_before) return;
    for (size_t d = 0; d < facts.size(); ++d)
      (*split.datasets)[d].check_columns(facts[d]);
    judge(seen);
  }

  void take(const Part& part, PreparedStore& seen) {
    malformed_ += part.faults;
    append_shown(faulty_, part.faulty);
    append_shown(seen.left_out, part.left_out);
    append_shown(result_.seen.left_out, part.left_out);
    for (const Sample& sample : part.encoded.samples) {
      for (const int32_t id : sample.input_ids)
        result_.largest_id = std::max(result_.largest_id, int64_t{id});
      if (sample.input_ids.size() < 2) ++result_.short_answers;
    }
  }

  /// What all records give is known; what a sample of them does not give may be chance.
  void judge(const PreparedStore& seen) {
    try {
      require_something_to_train(options_, seen);
    } catch (const UserError& fault) {
      if (result_.complete) throw;
      result_.doubts.push_back(cat("of the records checked, ", fault.what()));
    }
  }

  void count_rows(const Split& split, const PrepareStats& stats) {
    if (!split.trains) return;
    if (result_.complete && malformed_ == 0) {
      result_.train_rows = stats.rows > 0                  ? stats.rows
                           : options_.stage == Stage::kDpo ? stats.samples / 2
                                                           : stats.samples;
    } else if (options_.stage != Stage::kPt) {
      result_.train_rows = static_cast<int64_t>(split.rows.size());
    }
  }

  const PrepareOptions& options_;
  int64_t most_;
  SourceCheck result_;
  std::vector<Dataset> train_, eval_;
  std::vector<Split> splits_;
  std::unique_ptr<PartEncoder> encoder_;
  int64_t malformed_ = 0;
  std::vector<std::string> faulty_;
};

}  // namespace

SourceCheck check_sources(const PrepareOptions& options, int64_t most_records) {
  return Checker(options, most_records).run();
}

}  // namespace mtrain::data
