// Files of records: JSON lists, JSON Lines, plain text; any record can be read at any
// time.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "csv.hpp"
#include "mapped_file.hpp"
#include "mtrain/base/json.hpp"

namespace mtrain::data {

/// What is wrong with one record; becomes an entry of the fault log.
struct RecordFault {
  std::string what;
};

/// How the records of a file are laid out.
enum class RecordLayout { kLines, kJson, kText, kCsv };

/// The records of one file. Opening finds where each begins (16 bytes of memory a
/// record); records are parsed one by one when asked for.
class RecordFile {
 public:
  /// The extension says what the file holds: .json and .jsonl (a list, one object, or an
  /// object a line), .csv (the first record names the columns) or .txt (each line a
  /// record with the column "text"). UserError when the file can't be read, has no
  /// record, is no list from start to end, or is of a kind not supported.
  explicit RecordFile(const std::string& path);

  const std::string& path() const { return path_; }
  RecordLayout layout() const { return layout_; }
  int64_t size() const { return static_cast<int64_t>(places_.size()); }

  /// Record i, an object. Throws RecordFault when it is none.
  OrderedJson read(int64_t i) const;
  /// "PATH:12" (line), or "PATH, record 3" for lists and .csv: where record i stands.
  std::string place(int64_t i) const;

 private:
  struct Place {
    uint64_t begin;
    uint32_t length;
    uint32_t number;  ///< counts from 1: the line, or the element of the list
  };

  void index(std::string_view extension);
  void index_lines();
  void index_text();
  void index_list();
  void index_csv();
  void name_columns(const std::vector<std::string>& names);
  OrderedJson read_csv(std::string_view text) const;
  void add(size_t begin, size_t end, size_t number);

  std::string path_;
  MappedFile file_;
  RecordLayout layout_ = RecordLayout::kLines;
  /// HF datasets gives what pyarrow can't read, a list, to pandas.
  JsonDialect dialect_ = JsonDialect::kArrow;
  std::vector<Place> places_;
  std::vector<CsvColumn> columns_;  ///< of a .csv
};

}  // namespace mtrain::data
