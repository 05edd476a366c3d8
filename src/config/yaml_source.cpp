// Owns reading of flat YAML decks, as LLaMA-Factory users have them; called by
// parse_deck.
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "entry.hpp"
#include "key_table.hpp"

namespace mtrain::config {

namespace {

Origin origin_of(const DeckText& source, const YAML::Mark& mark) {
  const int line = mark.line < 0 ? 1 : mark.line + 1;
  return {Origin::Kind::kDeck, cat(source.name, ":", line)};
}

bool is_section(const std::string& name) {
  for (const SectionInfo& section : all_sections()) {
    if (section.name == name) return true;
  }
  return false;
}

/// Turns the events of one document into entries. Values are scalars, lists of scalars or
/// maps of scalars; anything deeper is a fault of its key. No tree is built, so that
/// neither depth nor aliases can make a small file large.
class FlatReader : public YAML::EventHandler {
 public:
  FlatReader(const DeckText& source, std::vector<Entry>& entries, Faults& faults)
      : source_(source), entries_(entries), faults_(faults) {}

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override {
    if (depth_ > 0) scalar(mark, "null", Style::kNull);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    faults_.add(origin_of(source_, mark).place, "aliases are not supported",
                "write the value itself");
    if (depth_ > 0) scalar(mark, "", Style::kSkipped);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                const std::string& text) override {
    if (depth_ == 0) return no_mapping(mark);
    scalar(mark, text, tag == "!" ? Style::kQuoted : Style::kPlain);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    if (depth_ == 0) no_mapping(mark);
    start(mark, Shape::kList);
  }
  void OnSequenceEnd() override { end(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {
    start(mark, Shape::kMap);
  }
  void OnMapEnd() override { end(); }

 private:
  enum class Style { kPlain, kQuoted, kNull, kSkipped };
  enum class Shape { kList, kMap };

  void no_mapping(const YAML::Mark& mark) {
    if (!ignored_) {
      faults_.add(origin_of(source_, mark).place, "the deck is not a list of keys",
                  "write one key: value per line");
    }
    ignored_ = true;
  }

  void scalar(const YAML::Mark& mark, const std::string& text, Style style) {
    if (ignored_ || depth_ > 2) return;
    if (depth_ == 2) {
      parts_.push_back(text);
      return;
    }
    if (!has_key_) return begin_key(mark, text, style == Style::kSkipped);
    entry_.value.text = text;
    entry_.value.null = style == Style::kNull;
    entry_.value.quoted = style == Style::kQuoted;
    skipped_ = skipped_ || style == Style::kSkipped;
    finish_entry();
  }

  void begin_key(const YAML::Mark& mark, const std::string& name, bool skipped) {
    has_key_ = true;
    skipped_ = skipped;
    entry_ = Entry{"", name, {}, origin_of(source_, mark)};
  }

  void start(const YAML::Mark& mark, Shape shape) {
    ++depth_;
    if (ignored_) return;
    if (depth_ == 2) {
      key_is_container_ = !has_key_;
      if (key_is_container_) {
        faults_.add(origin_of(source_, mark).place, "a key must be a plain word",
                    "write key: value");
      }
      shape_ = shape;
      parts_.clear();
      nested_ = false;
    } else if (depth_ > 2) {
      nested_ = true;
    }
  }

  void end() {
    --depth_;
    if (ignored_ || depth_ != 1) return;
    if (key_is_container_) {
      key_is_container_ = false;
      has_key_ = true;
      skipped_ = true;
      return;
    }
    finish_container();
  }

  void finish_container() {
    const bool is_map = shape_ == Shape::kMap;
    if (is_map && is_section(entry_.name)) {
      complain(cat("section ", entry_.name, " in a YAML deck"),
               "decks in YAML are flat: move its keys to the left margin");
    } else if (nested_) {
      complain(cat(shown(entry_.name), " has nested values"),
               "decks in YAML are flat: key: value");
    } else if (is_map) {
      entry_.value.text = map_text();
    } else {
      entry_.value.items = parts_;
      entry_.value.text = join(parts_, ", ");
    }
    finish_entry();
  }

  /// The mapping as JSON; numbers and booleans keep their words.
  std::string map_text() const {
    nlohmann::json json = nlohmann::json::object();
    for (size_t i = 0; i + 1 < parts_.size(); i += 2) json[parts_[i]] = parts_[i + 1];
    return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }

  void complain(const std::string& message, const std::string& suggestion) {
    if (!skipped_) faults_.add(entry_.origin.place, message, suggestion);
    skipped_ = true;
  }

  void finish_entry() {
    if (!skipped_) entries_.push_back(std::move(entry_));
    has_key_ = false;
    skipped_ = false;
  }

  const DeckText& source_;
  std::vector<Entry>& entries_;
  Faults& faults_;
  Entry entry_;
  std::vector<std::string> parts_;  ///< scalars of the list or mapping that is open
  Shape shape_ = Shape::kList;
  int depth_ = 0;
  bool has_key_ = false;
  bool skipped_ = false;  ///< the entry at hand has had its fault
  bool nested_ = false;
  bool key_is_container_ = false;
  bool ignored_ = false;  ///< the document is no mapping
};

}  // namespace

std::vector<Entry> read_yaml(const DeckText& source, Faults& faults) {
  std::vector<Entry> entries;
  std::istringstream stream(source.text);
  try {
    YAML::Parser parser(stream);
    FlatReader reader(source, entries, faults);
    parser.HandleNextDocument(reader);
    // One more document at most is read: yaml-cpp 0.7 returns empty ones for ever after
    // some malformed texts.
    std::vector<Entry> more;
    Faults ignored;
    FlatReader rest(source, more, ignored);
    parser.HandleNextDocument(rest);
    if (!more.empty() || !ignored.empty()) {
      faults.add(more.empty() ? source.name : more.front().origin.place,
                 "a second YAML document begins", "keep one document per file");
    }
  } catch (const YAML::Exception& error) {
    faults.add(origin_of(source, error.mark).place, cat("not valid YAML: ", error.msg),
               "write one key: value per line");
  }
  return entries;
}

}  // namespace mtrain::config
