// How descriptions of tools and calls of them are written for a model.
#pragma once

#include <string>
#include <string_view>

#include "mtrain/base/json.hpp"

namespace mtrain::data {

/// A row of the table of tool formats; texts as in LLaMA-Factory's data/tool_utils.py.
struct ToolFormat {
  std::string_view name;
  /// The text about `tools` (a JSON list) that follows the system message. Throws
  /// RecordFault for anything that describes no tools.
  std::string (*describe)(const std::string& tools);
  /// The text of one call. Throws RecordFault for arguments it can't write.
  std::string (*call)(const std::string& name, const OrderedJson& arguments);
};

/// The row named `name`. UserError with the known names when there is none.
const ToolFormat& find_tool_format(std::string_view name);

/// The content of a function message (LLaMA-Factory, data/formatter.py): JSON of one call
/// or a list of them, alone, behind a thought, or within <tool_call> tags; each call
/// written in `format`. Throws RecordFault for anything else.
std::string format_calls(const ToolFormat& format, const std::string& content);

}  // namespace mtrain::data
