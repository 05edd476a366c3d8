// Owns parsing of JSON from elsewhere (depth bound, duplicate keys); called by every
// layer that reads JSON it did not write.
#include "mtrain/base/json.hpp"

#include <type_traits>
#include <vector>

#include "mtrain/base/error.hpp"

namespace mtrain {
namespace {

/// Looking up a key of an ordered object takes time in proportion to its size.
constexpr size_t kMaxOrderedKeys = 1 << 14;

/// What to do where Python's json module is more lenient than we are.
enum class Leniency { kStrict, kPython };

/// Builds one value from nlohmann's SAX events.
template <class J>
class Builder final : public nlohmann::json_sax<Json> {
 public:
  Builder(const std::string& place, Leniency leniency)
      : place_(place), lenient_(leniency == Leniency::kPython) {}
  J& root() { return root_; }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(int64_t value) override { return add(value); }
  bool number_unsigned(uint64_t value) override { return add(value); }
  bool number_float(double value, const std::string& text) override {
    const bool whole = text.find_first_not_of("-0123456789") == text.npos;
    if (!lenient_ || !whole) return add(value);
    return add(J::binary({text.begin(), text.end()}));
  }
  bool string(std::string& value) override { return add(std::move(value)); }
  bool binary(Json::binary_t&) override { return false; }
  bool start_object(size_t) override { return open(J::object()); }
  bool start_array(size_t) override { return open(J::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(std::string& name) override {
    const auto [member, fresh] = stack_.back()->emplace(name, nullptr);
    if (!fresh && !lenient_) fault(cat("key \"", name, "\" is given twice"));
    if (std::is_same_v<J, OrderedJson> && stack_.back()->size() > kMaxOrderedKeys)
      fault(cat("an object has more than ", kMaxOrderedKeys, " keys"));
    slot_ = &*member;
    return true;
  }

  bool parse_error(size_t, const std::string&, const Json::exception& error) override {
    const std::string text = error.what();
    fault(cat("not valid JSON: ", text.substr(text.find("] ") + 2)));
    return false;
  }

 private:
  [[noreturn]] void fault(const std::string& what) {
    throw UserError(place_.empty() ? what : cat(place_, ": ", what));
  }

  J* put(J&& value) {
    if (stack_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    J& parent = *stack_.back();
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    *slot_ = std::move(value);
    return slot_;
  }

  bool add(J value) {
    put(std::move(value));
    return true;
  }

  bool open(J container) {
    if (stack_.size() >= kMaxJsonDepth)
      fault(cat("nested deeper than ", kMaxJsonDepth, " levels"));
    stack_.push_back(put(std::move(container)));
    return true;
  }

  bool close() {
    stack_.pop_back();
    return true;
  }

  const std::string& place_;
  bool lenient_;
  J root_;
  J* slot_ = nullptr;
  std::vector<J*> stack_;
};

template <class J>
J parse(std::string_view text, const std::string& place, Leniency leniency) {
  Builder<J> builder(place, leniency);
  Json::sax_parse(text, &builder);
  return std::move(builder.root());
}

}  // namespace

Json parse_json(std::string_view text, const std::string& place) {
  return parse<Json>(text, place, Leniency::kStrict);
}

OrderedJson parse_ordered_json(std::string_view text, const std::string& place) {
  return parse<OrderedJson>(text, place, Leniency::kStrict);
}

OrderedJson parse_lenient_json(std::string_view text, const std::string& place) {
  return parse<OrderedJson>(text, place, Leniency::kPython);
}

}  // namespace mtrain
