// Owns the reading of dataset files; called by the preparation.
#include "record_file.hpp"

#include <filesystem>

#include "json_scan.hpp"
#include "mtrain/base/error.hpp"
#include "utf8.hpp"

namespace mtrain::data {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
constexpr size_t kLongestRecord = size_t{1} << 28;

bool blank(std::string_view line) {
  return line.find_first_not_of(kJsonSpace) == line.npos;
}

bool starts_object(std::string_view text) {
  const size_t first = text.find_first_not_of(kJsonSpace);
  return first != text.npos && text[first] == '{';
}

// The first line that is not blank tells: a whole object, or a part of something longer.
bool one_object_per_line(std::string_view text) {
  if (!starts_object(text)) return false;
  const size_t first = text.find_first_not_of(kJsonSpace);
  return Json::accept(text.substr(first, text.find('\n', first) - first));
}

}  // namespace

RecordFile::RecordFile(const std::string& path) : path_(path), file_(path) {
  index(std::filesystem::path(path).extension().string());
  if (places_.empty()) throw UserError(cat("dataset file ", path, " has no record"));
}

void RecordFile::index(std::string_view extension) {
  if (extension == ".txt") return index_text();
  if (extension == ".csv") return index_csv();
  if (extension != ".json" && extension != ".jsonl")
    throw UserError(
        cat("dataset file ", path_, ": type '", extension, "' is not supported"),
        "give a .json, .jsonl, .csv or .txt file");
  const bool marked = file_.bytes().starts_with(kByteOrderMark);
  const std::string_view text = file_.bytes().substr(marked ? kByteOrderMark.size() : 0);
  if (extension == ".jsonl" ? starts_object(text) : one_object_per_line(text))
    return index_lines();
  if (marked)
    throw UserError(cat("dataset file ", path_, " begins with a byte order mark"),
                    "save it as UTF-8 without one");
  index_list();
}

void RecordFile::add(size_t begin, size_t end, size_t number) {
  if (end - begin > kLongestRecord || number > UINT32_MAX)
    throw UserError(cat("dataset file ", path_, ": record ", number, " has ", end - begin,
                        " bytes, more than ", kLongestRecord),
                    "split it");
  places_.push_back(
      {begin, static_cast<uint32_t>(end - begin), static_cast<uint32_t>(number)});
}

void RecordFile::index_lines() {
  layout_ = RecordLayout::kLines;
  const std::string_view text = file_.bytes();
  size_t at = text.starts_with(kByteOrderMark) ? kByteOrderMark.size() : 0;
  for (size_t number = 1; at < text.size(); ++number) {
    const size_t end = std::min(text.find('\n', at), text.size());
    if (!blank(text.substr(at, end - at))) add(at, end, number);
    at = end + 1;
  }
}

// Universal newlines: \n, \r\n and \r end a line; the last line needs no end.
void RecordFile::index_text() {
  layout_ = RecordLayout::kText;
  const std::string_view text = file_.bytes();
  size_t at = text.starts_with(kByteOrderMark) ? kByteOrderMark.size() : 0;
  for (size_t number = 1; at < text.size(); ++number) {
    const size_t end = std::min(text.find_first_of("\r\n", at), text.size());
    add(at, end, number);
    at = end + (text.substr(end, 2) == "\r\n" ? 2 : 1);
  }
}

void RecordFile::index_list() {
  layout_ = RecordLayout::kJson;
  const std::string_view text = file_.bytes();
  if (starts_object(text)) return add(0, text.size(), 1);
  size_t number = 0;
  const std::string fault =
      scan_json_list(text, [&](size_t begin, size_t end) { add(begin, end, ++number); });
  if (!fault.empty())
    throw UserError(cat("dataset file ", path_, " ", fault),
                    "give a JSON list of objects, or an object a line");
}

void RecordFile::index_csv() {
  layout_ = RecordLayout::kCsv;
  const std::string_view text = file_.bytes();
  size_t at = text.starts_with(kByteOrderMark) ? kByteOrderMark.size() : 0;
  size_t number = 0;
  while (at < text.size()) {
    const CsvRecord record = read_csv_record(text, at);
    if (!record.closed)
      throw UserError(cat("dataset file ", path_, ": a quoted text behind record ",
                          number, " does not end"),
                      "write quotes inside quoted texts twice");
    const bool empty = blank(text.substr(at, record.end - at));
    if (!empty && columns_.empty()) {
      name_columns(record.cells);
    } else if (!empty) {
      add(at, record.end, ++number);
      for (size_t c = 0; c < std::min(columns_.size(), record.cells.size()); ++c)
        columns_[c].observe(record.cells[c]);
    }
    at = record.next;
  }
}

// As pandas: a column without a name is called by its number.
void RecordFile::name_columns(const std::vector<std::string>& names) {
  for (size_t c = 0; c < names.size(); ++c) {
    const bool known = std::any_of(columns_.begin(), columns_.end(),
                                   [&](const auto& o) { return o.name() == names[c]; });
    if (known)
      throw UserError(
          cat("dataset file ", path_, " names the column '", names[c], "' twice"),
          "rename one of them");
    columns_.emplace_back(names[c].empty() ? cat("Unnamed: ", c) : names[c]);
  }
}

OrderedJson RecordFile::read_csv(std::string_view text) const {
  const std::vector<std::string> cells = read_csv_record(text, 0).cells;
  if (cells.size() > columns_.size())
    throw RecordFault{cat("has ", cells.size(), " cells, but the file names ",
                          columns_.size(), " columns")};
  OrderedJson record = OrderedJson::object();
  for (size_t c = 0; c < columns_.size(); ++c)
    record[columns_[c].name()] =
        c < cells.size() ? columns_[c].value(cells[c]) : OrderedJson(nullptr);
  return record;
}

OrderedJson RecordFile::read(int64_t i) const {
  const Place& place = places_[static_cast<size_t>(i)];
  const std::string_view text = file_.bytes().substr(place.begin, place.length);
  if (layout_ == RecordLayout::kText || layout_ == RecordLayout::kCsv) {
    const size_t invalid = invalid_utf8(text);
    if (invalid != text.size())
      throw RecordFault{cat("is not valid UTF-8 from byte ", invalid, " on")};
    if (layout_ == RecordLayout::kCsv) return read_csv(text);
    OrderedJson record = OrderedJson::object();
    record["text"] = text;
    return record;
  }
  try {
    OrderedJson record = parse_ordered_json(text, "");
    if (record.is_object()) return record;
    throw RecordFault{cat("is a ", record.type_name(), ", not an object")};
  } catch (const UserError& error) {
    throw RecordFault{error.what()};
  }
}

std::string RecordFile::place(int64_t i) const {
  const uint32_t number = places_[static_cast<size_t>(i)].number;
  const bool by_line = layout_ == RecordLayout::kLines || layout_ == RecordLayout::kText;
  return by_line ? cat(path_, ":", number) : cat(path_, ", record ", number);
}

}  // namespace mtrain::data
