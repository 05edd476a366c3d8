// Owns the encoding of one part, record by record; called by the preparation.
#include "part_encoder.hpp"

#include "mtrain/base/error.hpp"

namespace mtrain::data {
namespace {

void show(std::vector<std::string>& shown, const std::string& place,
          const std::string& what) {
  if (shown.size() < kShownRecords) shown.push_back(cat(place, ": ", what));
}

}  // namespace

void append_shown(std::vector<std::string>& all, const std::vector<std::string>& more) {
  for (const auto& line : more)
    if (all.size() < kShownRecords) all.push_back(line);
}

PartEncoder::PartEncoder(const PrepareOptions& options)
    : options_(options),
      tokenizer_(Tokenizer::load(options.tokenizer_dir)),
      encoder_(make_batch_encoder(options_, tokenizer_)) {}

// What the user may not know of the texts.
void PartEncoder::inspect(const AlignedRecord& record, PrepareStats& stats) const {
  bool special = false, nul = false;
  const auto look = [&](const std::string& text) {
    special = special || tokenizer_.holds_special(text);
    nul = nul || text.find('\0') != text.npos;
  };
  for (const Message& message : record.prompt) look(message.content);
  for (const Message& message : record.response) look(message.content);
  look(record.system);
  stats.special_tokens += special ? 1 : 0;
  stats.nul_characters += nul ? 1 : 0;
}

void PartEncoder::add(const Dataset& dataset, int64_t row, Part& part,
                      ColumnFacts& facts) {
  PrepareStats& stats = part.stats;
  ++stats.records;
  try {
    const AlignedRecord record = dataset.read(row, facts);
    const int64_t dropped = stats.dropped;
    encoder_->add(record, stats);
    inspect(record, stats);
    if (stats.dropped > dropped)
      show(part.left_out, dataset.place(row), "dropped: " + record.reason);
  } catch (const RecordFault& fault) {
    if (options_.skip_malformed) {
      ++stats.malformed;
      show(part.left_out, dataset.place(row), "malformed: " + fault.what);
    } else {
      ++part.faults;
      show(part.faulty, dataset.place(row), fault.what);
    }
  }
}

Part PartEncoder::encode(const std::vector<Dataset>& datasets,
                         const std::vector<RowRef>& rows, const BatchCut& cut,
                         int64_t begin, int64_t end) {
  Part part;
  part.facts.resize(datasets.size());
  for (int64_t at = begin; at < end;) {
    for (const int64_t batch_end = cut.end_of_batch(at); at < batch_end; ++at) {
      const RowRef& row = rows[static_cast<size_t>(at)];
      add(datasets[row.dataset], row.row, part, part.facts[row.dataset]);
    }
    encoder_->end_batch(part.encoded);
  }
  if (part.faults > 0) part.encoded = {};
  for (const Sample& sample : part.encoded.samples) {
    part.stats.tokens += static_cast<int64_t>(sample.input_ids.size());
    part.stats.trained_positions += trained_positions(sample.labels);
  }
  part.stats.samples = static_cast<int64_t>(part.encoded.samples.size());
  part.stats.rows = static_cast<int64_t>(part.encoded.row_ends.size());
  return part;
}

}  // namespace mtrain::data
