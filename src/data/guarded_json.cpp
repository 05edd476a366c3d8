// Owns parsing of JSON from elsewhere (depth bound, duplicate keys); called by the
// tokenizer and the dataset readers.
#include "guarded_json.hpp"

#include <istream>
#include <vector>

#include "mtrain/base/error.hpp"

namespace mtrain::data {
namespace {

/// Builds values from nlohmann's SAX events. Elements of a root array go to `take` when
/// it is set, otherwise the whole text becomes root().
template <class J>
class Builder final : public nlohmann::json_sax<Json> {
 public:
  Builder(std::string place, std::function<void(J&&)> take)
      : place_(std::move(place)), take_(std::move(take)) {}
  J& root() { return root_; }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(int64_t value) override { return add(value); }
  bool number_unsigned(uint64_t value) override { return add(value); }
  bool number_float(double value, const std::string&) override { return add(value); }
  bool string(std::string& value) override { return add(std::move(value)); }
  bool binary(Json::binary_t&) override { return false; }
  bool start_object(size_t) override { return open(J::object()); }
  bool start_array(size_t) override {
    if (take_ && stack_.empty() && !streaming_) {
      streaming_ = true;
      return true;
    }
    return open(J::array());
  }
  bool end_object() override { return close(); }
  bool end_array() override { return stack_.empty() ? true : close(); }

  bool key(std::string& name) override {
    const auto [member, fresh] = stack_.back()->emplace(name, nullptr);
    if (!fresh) fault(cat("duplicate key \"", name, "\""));
    slot_ = &*member;
    return true;
  }

  bool parse_error(size_t, const std::string&, const Json::exception& error) override {
    const std::string text = error.what();
    fault(text.substr(text.find("] ") + 2));
    return false;
  }

 private:
  [[noreturn]] void fault(const std::string& what) {
    throw UserError(cat(place_, ": ", what));
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
    if (stack_.empty()) emit();
    return true;
  }

  bool open(J container) {
    if (stack_.size() + (streaming_ ? 1 : 0) >= kMaxJsonDepth)
      fault(cat("nested deeper than ", kMaxJsonDepth, " levels"));
    stack_.push_back(put(std::move(container)));
    return true;
  }

  bool close() {
    stack_.pop_back();
    if (stack_.empty()) emit();
    return true;
  }

  void emit() {
    if (take_) take_(std::move(root_));
  }

  std::string place_;
  std::function<void(J&&)> take_;
  bool streaming_ = false;
  J root_;
  J* slot_ = nullptr;
  std::vector<J*> stack_;
};

template <class J>
J parse(std::string_view text, const std::string& place) {
  Builder<J> builder(place, nullptr);
  Json::sax_parse(text, &builder);
  return std::move(builder.root());
}

}  // namespace

Json parse_json(std::string_view text, const std::string& place) {
  return parse<Json>(text, place);
}

OrderedJson parse_ordered_json(std::string_view text, const std::string& place) {
  return parse<OrderedJson>(text, place);
}

void stream_json(std::istream& input, const std::string& place,
                 const std::function<void(OrderedJson&&)>& take) {
  Builder<OrderedJson> builder(place, take);
  Json::sax_parse(input, &builder);
}

}  // namespace mtrain::data
