// Owns the merging of nested types; called by the preparation for datasets whose objects
// end up in the text (tools and tool calls of the openai formatting).
#include "arrow_schema.hpp"

#include <algorithm>

#include "mtrain/base/text.hpp"
#include "record_file.hpp"

namespace mtrain::data {

ArrowSchema::Kind ArrowSchema::kind_of(const OrderedJson& value) {
  if (value.is_null()) return Kind::kNull;
  if (value.is_boolean()) return Kind::kFlag;
  if (value.is_number_integer()) return Kind::kInteger;
  if (value.is_number()) return Kind::kFloat;
  if (value.is_string()) return Kind::kText;
  return value.is_array() ? Kind::kList : Kind::kObject;
}

ArrowSchema& ArrowSchema::member(const std::string& name) {
  for (auto& [known, schema] : members_)
    if (known == name) return *schema;
  members_.emplace_back(name, std::make_unique<ArrowSchema>());
  return *members_.back().second;
}

void ArrowSchema::observe(const OrderedJson& value) {
  const Kind kind = kind_of(value);
  if (kind == Kind::kNull) return;
  const auto number = [](Kind k) { return k == Kind::kInteger || k == Kind::kFloat; };
  if (kind_ == Kind::kNull)
    kind_ = kind;
  else if (number(kind) && number(kind_))
    kind_ = std::max(kind, kind_);
  else if (kind != kind_)
    throw RecordFault{cat("holds a value of type ", value.type_name(),
                          " where earlier records have another type")};
  if (kind == Kind::kList && !items_) items_ = std::make_unique<ArrowSchema>();
  if (kind == Kind::kList)
    for (const auto& item : value) items_->observe(item);
  if (kind == Kind::kObject)
    for (const auto& [name, item] : value.items()) member(name).observe(item);
}

void ArrowSchema::apply(OrderedJson& value) const {
  if (value.is_null()) return;
  if (kind_ == Kind::kFloat && value.is_number_integer()) value = value.get<double>();
  if (kind_ == Kind::kList)
    for (auto& item : value) items_->apply(item);
  if (kind_ != Kind::kObject) return;
  OrderedJson whole = OrderedJson::object();
  for (const auto& [name, schema] : members_) {
    const auto found = value.find(name);
    OrderedJson& item = whole[name];
    if (found == value.end()) continue;
    item = std::move(*found);
    schema->apply(item);
  }
  value = std::move(whole);
}

}  // namespace mtrain::data
