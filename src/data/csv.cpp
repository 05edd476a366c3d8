// Owns the grammar and the types of comma-separated files; called by the record file.
#include "csv.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "mtrain/base/text.hpp"

namespace mtrain::data {
namespace {

// pandas, io/parsers: the default of na_values.
constexpr std::string_view kMissing[] = {
    "",     "#N/A",   "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN",
    "-nan", "1.#IND", "<NA>",     "N/A", "1.#QNAN", "NA",       "NULL",
    "NaN",  "None",   "n/a",      "nan", "null"};

bool is_one_of(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

bool missing(std::string_view cell) {
  return std::find(std::begin(kMissing), std::end(kMissing), cell) != std::end(kMissing);
}

bool boolean(std::string_view cell) {
  return is_one_of(cell, {"True", "TRUE", "true", "False", "FALSE", "false"});
}

bool number(std::string_view cell, double& value) {
  std::string_view digits = trim(cell);
  if (digits.starts_with('+')) digits.remove_prefix(1);
  const char* const end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, value);
  const bool whole = stop == end && error != std::errc::invalid_argument;
  return whole && !digits.empty() && !std::isnan(value);
}

}  // namespace

CsvRecord read_csv_record(std::string_view text, size_t at) {
  enum class State { kStart, kPlain, kQuoted, kQuoteInQuoted } state = State::kStart;
  CsvRecord record{{""}, text.size(), text.size(), true};
  for (; at < text.size(); ++at) {
    const char c = text[at];
    std::string& cell = record.cells.back();
    if (state == State::kQuoted) {
      if (c == '"')
        state = State::kQuoteInQuoted;
      else
        cell += c;
    } else if (c == '"' && state != State::kPlain) {
      if (state == State::kQuoteInQuoted) cell += c;
      state = State::kQuoted;
    } else if (c == ',') {
      record.cells.emplace_back();
      state = State::kStart;
    } else if (c == '\n' || c == '\r') {
      record.end = at;
      record.next = at + (text.substr(at, 2) == "\r\n" ? 2 : 1);
      return record;
    } else {
      cell += c;
      state = State::kPlain;
    }
  }
  record.closed = state != State::kQuoted;
  return record;
}

void CsvColumn::observe(const std::string& cell) {
  double value = 0;
  if (missing(cell)) return;
  (boolean(cell) ? booleans_ : number(cell, value) ? numbers_ : texts_) = true;
}

OrderedJson CsvColumn::value(const std::string& cell) const {
  double real = 0;
  if (missing(cell)) return nullptr;
  const bool mixed = texts_ || numbers_ == booleans_;
  if (mixed) return cell;
  if (booleans_) return cell[0] == 'T' || cell[0] == 't';
  number(cell, real);
  return real;
}

}  // namespace mtrain::data
