// Owns the reading of dataset files, one record in memory at a time; called by prepare().
#include "record_reader.hpp"

#include <filesystem>
#include <fstream>

#include "input_file.hpp"
#include "mtrain/base/error.hpp"
#include "utf8.hpp"

namespace mtrain::data {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
constexpr std::string_view kJsonSpace = " \t\r\n";

bool blank(std::string_view line) {
  return line.find_first_not_of(kJsonSpace) == std::string_view::npos;
}

class Reader {
 public:
  Reader(const std::string& path, FaultLog& faults,
         const std::function<void(Record&&)>& take)
      : path_(path), faults_(faults), take_(take), file_(open_input(path)) {}

  int64_t read(std::string_view extension) {
    if (extension == ".txt")
      read_text();
    else if (extension == ".json" || extension == ".jsonl")
      one_object_per_line() ? read_lines() : read_whole();
    else
      throw UserError(
          cat("dataset file ", path_, ": type '", extension, "' is not supported"),
          "give a .json, .jsonl or .txt file");
    return records_;
  }

 private:
  void emit(OrderedJson&& value, int64_t number) {
    ++records_;
    if (!value.is_object())
      faults_.add(path_, number, cat("is a ", value.type_name(), ", not an object"));
    else
      take_({std::move(value), number});
  }

  void skip_mark() {
    std::string start(kByteOrderMark.size(), '\0');
    file_.read(start.data(), static_cast<std::streamsize>(start.size()));
    const bool marked = file_.good() && start == kByteOrderMark;
    file_.clear();
    if (!marked) file_.seekg(0);
  }

  // The first line that is not blank tells: a whole object, or a part of something
  // longer.
  bool one_object_per_line() {
    skip_mark();
    const auto start = file_.tellg();
    std::string line;
    while (std::getline(file_, line) && blank(line)) {
    }
    file_.clear();
    file_.seekg(start);
    const size_t first = line.find_first_not_of(kJsonSpace);
    if (first == line.npos || line[first] != '{') return false;
    return Json::accept(line);
  }

  void read_lines() {
    std::string line;
    for (int64_t number = 1; std::getline(file_, line); ++number) {
      if (blank(line)) continue;
      try {
        emit(parse_ordered_json(line, ""), number);
      } catch (const UserError& error) {
        ++records_;
        faults_.add(path_, number, error.what());
      }
    }
  }

  void read_whole() {
    OrderedJson whole = parse_ordered_json(read_input(path_), path_);
    if (!whole.is_array()) return emit(std::move(whole), 1);
    for (OrderedJson& value : whole) emit(std::move(value), records_ + 1);
  }

  // Universal newlines: \n, \r\n and \r end a line; the last line needs no end.
  void read_text() {
    std::string line;
    std::string chunk(1 << 16, '\0');
    bool after_return = false;
    while (file_.read(chunk.data(), static_cast<std::streamsize>(chunk.size())),
           file_.gcount() > 0) {
      for (const char c :
           std::string_view(chunk).substr(0, static_cast<size_t>(file_.gcount()))) {
        if (c == '\n' && after_return) {
          after_return = false;
          continue;
        }
        after_return = c == '\r';
        if (c == '\n' || c == '\r')
          emit_line(line);
        else
          line.push_back(c);
      }
    }
    if (!line.empty()) emit_line(line);
  }

  void emit_line(std::string& line) {
    const size_t invalid = invalid_utf8(line);
    if (invalid != line.size()) {
      ++records_;
      faults_.add(path_, records_, cat("is not valid UTF-8 from byte ", invalid, " on"));
    } else {
      OrderedJson value = OrderedJson::object();
      value["text"] = std::move(line);
      emit(std::move(value), records_ + 1);
    }
    line.clear();
  }

  const std::string& path_;
  FaultLog& faults_;
  const std::function<void(Record&&)>& take_;
  std::ifstream file_;
  int64_t records_ = 0;
};

}  // namespace

void read_records(const std::string& path, FaultLog& faults,
                  const std::function<void(Record&&)>& take) {
  const std::string extension = std::filesystem::path(path).extension().string();
  if (Reader(path, faults, take).read(extension) == 0)
    throw UserError(cat("dataset file ", path, " has no record"));
}

}  // namespace mtrain::data
