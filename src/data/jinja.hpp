// Chat templates as transformers renders them: a subset of Jinja, bounded in time and
// memory.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "jinja_node.hpp"
#include "jinja_value.hpp"

namespace mtrain::data::jinja {

/// One template. The environment is transformers': trim_blocks, lstrip_blocks, loop
/// controls, values that can't be changed, and its filter tojson.
class Template {
 public:
  /// Throws Fault for what is no Jinja, and for what this program does not know of it.
  explicit Template(std::string_view source);

  using Variables = std::vector<std::pair<std::string, Value>>;
  /// The text for these variables. Throws Fault for what goes wrong in the template, and
  /// for one that takes too many steps.
  std::string render(const Variables& variables) const;

 private:
  Block body_;
};

}  // namespace mtrain::data::jinja
