// Owns the values of JSON from elsewhere; called by every layer that reads JSON it did
// not write.
#include "mtrain/base/json.hpp"

#include <type_traits>
#include <vector>

#include "json_reader.hpp"
#include "mtrain/base/error.hpp"

namespace mtrain {
namespace {

/// Looking up a key of an ordered object takes time in proportion to its size.
constexpr size_t kMaxOrderedKeys = 1 << 14;

/// Builds one value from the events of its text.
template <class J>
class Builder final : public JsonEvents {
 public:
  Builder(const std::string& place, bool repeated_keys)
      : place_(place), repeated_keys_(repeated_keys) {}
  J& root() { return root_; }

  void null() override { put(nullptr); }
  void boolean(bool value) override { put(value); }
  void integer(int64_t value) override { put(value); }
  void unsigned_integer(uint64_t value) override { put(value); }
  void digits(std::string_view text) override {
    put(J::binary({text.begin(), text.end()}));
  }
  void real(double value) override { put(value); }
  void string(std::string& value) override { put(std::move(value)); }
  void open_object() override { stack_.push_back(put(J::object())); }
  void open_array() override { stack_.push_back(put(J::array())); }
  void close() override { stack_.pop_back(); }

  void key(std::string& name) override {
    const auto [member, fresh] = stack_.back()->emplace(name, nullptr);
    if (!fresh && !repeated_keys_)
      json_fault(place_, cat("key \"", name, "\" is given twice"));
    if (std::is_same_v<J, OrderedJson> && stack_.back()->size() > kMaxOrderedKeys)
      json_fault(place_, cat("an object has more than ", kMaxOrderedKeys, " keys"));
    slot_ = &*member;
  }

 private:
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

  const std::string& place_;
  bool repeated_keys_;
  J root_;
  J* slot_ = nullptr;
  std::vector<J*> stack_;
};

template <class J>
J parse(std::string_view text, const std::string& place, JsonDialect dialect) {
  const JsonRules rules = json_rules(dialect);
  Builder<J> builder(place, rules.repeated_keys);
  read_json(text, place, rules, builder);
  return std::move(builder.root());
}

}  // namespace

Json parse_json(std::string_view text, const std::string& place) {
  return parse<Json>(text, place, JsonDialect::kStrict);
}

Json parse_json(std::string_view text, const std::string& place, JsonDialect dialect) {
  return parse<Json>(text, place, dialect);
}

OrderedJson parse_ordered_json(std::string_view text, const std::string& place,
                               JsonDialect dialect) {
  return parse<OrderedJson>(text, place, dialect);
}

bool accepts_json(std::string_view text, JsonDialect dialect) {
  try {
    parse<Json>(text, "", dialect);
    return true;
  } catch (const UserError&) {
    return false;
  }
}

}  // namespace mtrain
