// Owns the table of tool formats and the writing of calls; called by the chat template.
// The texts are those of LLaMA-Factory's data/tool_utils.py, since models were trained
// with them.
#include "tool_format.hpp"

#include <array>
#include <vector>

#include "mtrain/base/error.hpp"
#include "python_json.hpp"
#include "record_file.hpp"

namespace mtrain::data {
namespace {

constexpr size_t kShownBytes = 60;

OrderedJson parse(const std::string& text, const char* what) {
  try {
    return parse_ordered_json(text, "", JsonDialect::kPythonText);
  } catch (const UserError& error) {
    throw RecordFault{cat(what, " is no JSON: '", text.substr(0, kShownBytes), "'")};
  }
}

// A list of objects that describe tools.
OrderedJson parse_tools(const std::string& text) {
  OrderedJson tools = parse(text, "the description of tools");
  if (!tools.is_array()) throw RecordFault{"the description of tools is no list"};
  for (const auto& tool : tools)
    if (!tool.is_object()) throw RecordFault{"the description of a tool is no object"};
  return tools;
}

bool wrapped(const OrderedJson& tool) {
  const auto type = tool.find("type");
  return type != tool.end() && *type == "function";
}

const OrderedJson& member(const OrderedJson& value, const char* name) {
  if (!value.is_object() || !value.contains(name))
    throw RecordFault{cat("the description of a tool has no '", name, "'")};
  return value.at(name);
}

// A text member, or "" where absent.
std::string text_of(const OrderedJson& value, const char* name) {
  const auto found = value.find(name);
  if (found == value.end()) return {};
  if (!found->is_string())
    throw RecordFault{cat("'", name, "' of a tool or its parameter is no text")};
  return found->get<std::string>();
}

std::string with_wrapper(const OrderedJson& tool) {
  if (wrapped(tool)) return dumps(tool);
  OrderedJson whole = OrderedJson::object();
  whole["type"] = "function";
  whole["function"] = tool;
  return dumps(whole);
}

std::string without_wrapper(const OrderedJson& tool) {
  return dumps(wrapped(tool) ? tool.value("function", tool) : tool);
}

// A line for each tool.
std::string tool_lines(const OrderedJson& tools,
                       std::string (*line)(const OrderedJson&)) {
  std::string lines;
  for (const auto& tool : tools) lines += "\n" + line(tool);
  return lines;
}

std::string describe_qwen(const std::string& text) {
  const OrderedJson tools = parse_tools(text);
  if (tools.empty()) return {};
  const std::string lines = tool_lines(tools, with_wrapper);
  return "\n\n# Tools\n\nYou may call one or more functions to assist with the user "
         "query.\n\nYou are provided with function signatures within <tools></tools> XML "
         "tags:\n<tools>" +
         lines +
         "\n</tools>\n\nFor each function call, return a json object with function name "
         "and arguments within <tool_call></tool_call> XML "
         "tags:\n<tool_call>\n{\"name\": "
         "<function-name>, \"arguments\": <args-json-object>}\n</tool_call>";
}

std::string call_qwen(const std::string& name, const OrderedJson& arguments) {
  return "<tool_call>\n{\"name\": " + dumps(OrderedJson(name)) +
         ", \"arguments\": " + dumps(arguments) + "}\n</tool_call>";
}

std::string describe_xml(const std::string& text,
                         std::string (*line)(const OrderedJson&)) {
  const OrderedJson tools = parse_tools(text);
  if (tools.empty()) return {};
  return "\n\n# Tools\n\nYou have access to the following functions:\n\n<tools>" +
         tool_lines(tools, line) +
         "\n</tools>\n\nIf you choose to call a function ONLY reply in the following "
         "format with NO "
         "suffix:\n\n<tool_call>\n<function=example_function_name>\n<parameter=example_"
         "parameter_1>\nvalue_1\n</parameter>\n<parameter=example_parameter_2>\nThis is "
         "the value for the second parameter\nthat can span\nmultiple "
         "lines\n</parameter>\n</function>\n</tool_call>\n\n<IMPORTANT>\nReminder:\n- "
         "Function calls MUST follow the specified format: an inner <function=...>"
         "</function> block must be nested within <tool_call></tool_call> XML tags\n- "
         "Required parameters MUST be specified\n- You may provide optional reasoning "
         "for "
         "your function call in natural language BEFORE the function call, but NOT "
         "after\n- "
         "If there is no function call available, answer the question like normal with "
         "your "
         "current knowledge and do not tell the user about function calls\n</IMPORTANT>";
}

std::string describe_qwen3_5(const std::string& text) {
  return describe_xml(text, without_wrapper);
}

std::string describe_qwen3_8(const std::string& text) {
  return describe_xml(text, with_wrapper);
}

std::string call_xml(const std::string& name, const OrderedJson& arguments) {
  if (!arguments.is_object())
    throw RecordFault{cat("the arguments of function '", name, "' are no object")};
  std::string text = "<tool_call>\n<function=" + name + ">";
  for (const auto& [key, value] : arguments.items())
    text += "\n<parameter=" + key + ">\n" +
            (value.is_string() ? value.get<std::string>() : dumps(value)) +
            "\n</parameter>";
  return text + "\n</function>\n</tool_call>";
}

bool truthy(const OrderedJson& value, const char* name) {
  const auto found = value.find(name);
  return found != value.end() && !found->is_null() && !found->empty() && *found != "";
}

std::string describe_parameter(const std::string& name, const OrderedJson& parameter,
                               bool required) {
  if (!parameter.is_object())
    throw RecordFault{cat("parameter '", name, "' is no object")};
  std::string line =
      cat("  - ", name, " (", text_of(parameter, "type"), required ? ", required" : "",
          "): ", text_of(parameter, "description"));
  if (truthy(parameter, "enum")) {
    std::vector<std::string> values;
    for (const auto& value : parameter.at("enum")) {
      if (!value.is_string())
        throw RecordFault{cat("enum of '", name, "' holds no text")};
      values.push_back(value.get<std::string>());
    }
    line += cat(", should be one of [", join(values, ", "), "]");
  }
  if (truthy(parameter, "items"))
    line += cat(", where each item should be ", text_of(parameter.at("items"), "type"));
  return line + "\n";
}

std::string describe_arguments(const OrderedJson& parameters) {
  std::string lines;
  const auto required = parameters.find("required");
  for (const auto& [name, parameter] : member(parameters, "properties").items()) {
    bool is_required = false;
    if (required != parameters.end())
      for (const auto& other : *required) is_required = is_required || other == name;
    lines += describe_parameter(name, parameter, is_required);
  }
  return lines;
}

std::string describe_default(const std::string& text) {
  const OrderedJson tools = parse_tools(text);
  if (tools.empty()) return {};
  std::string lines;
  std::vector<std::string> names;
  for (const auto& given : tools) {
    const OrderedJson& tool = wrapped(given) ? member(given, "function") : given;
    member(tool, "name");
    names.push_back(text_of(tool, "name"));
    lines += cat("> Tool Name: ", names.back(),
                 "\nTool Description: ", text_of(tool, "description"), "\nTool Args:\n",
                 describe_arguments(member(tool, "parameters")), "\n");
  }
  return cat(
      "You have access to the following tools:\n", lines,
      "Use the following format if using a tool:\n```\nAction: tool name (one of [",
      join(names, ", "),
      "])\nAction Input: the input to the tool, in a JSON format representing the "
      "kwargs (e.g. ```{\"input\": \"hello world\", \"num_beams\": 5}```)\n```\n");
}

std::string call_default(const std::string& name, const OrderedJson& arguments) {
  return "Action: " + name + "\nAction Input: " + dumps(arguments);
}

constexpr std::array<ToolFormat, 4> kFormats = {{
    {"qwen", describe_qwen, call_qwen},
    {"qwen3_5", describe_qwen3_5, call_xml},
    {"qwen3_8", describe_qwen3_8, call_xml},
    {"default", describe_default, call_default},
}};

std::string write_calls(const ToolFormat& format, const std::string& text) {
  OrderedJson calls = parse(text, "a function message");
  if (!calls.is_array()) calls = OrderedJson::array({std::move(calls)});
  std::vector<std::string> lines;
  for (const auto& call : calls) {
    if (!call.is_object() || !call.contains("name") || !call.contains("arguments"))
      throw RecordFault{"a function message holds a call without name and arguments"};
    const OrderedJson& name = call.at("name");
    if (!name.is_string()) throw RecordFault{"the name of a function is no text"};
    lines.push_back(format.call(name.get<std::string>(), call.at("arguments")));
  }
  return join(lines, "\n");
}

/// The first part of a text between two marks.
struct Marked {
  std::string whole;   ///< with the marks
  std::string inside;  ///< without
};

bool find_marked(const std::string& text, std::string_view open, std::string_view close,
                 Marked& found) {
  const size_t begin = text.find(open);
  if (begin == text.npos) return false;
  const size_t inside = begin + open.size();
  const size_t end = text.find(close, inside);
  if (end == text.npos) return false;
  found = {text.substr(begin, end + close.size() - begin),
           text.substr(inside, end - inside)};
  return true;
}

std::string without(std::string text, const std::string& part) {
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at))
    text.erase(at, part.size());
  return text;
}

}  // namespace

const ToolFormat& find_tool_format(std::string_view name) {
  for (const auto& format : kFormats)
    if (format.name == name) return format;
  throw UserError(cat("tool_format '", name, "' is not known"),
                  "write qwen, qwen3_5, qwen3_8 or default");
}

std::string format_calls(const ToolFormat& format, const std::string& content) {
  Marked found;
  if (find_marked(content, "<tool_call>", "</tool_call>", found))
    return without(content, found.whole) + write_calls(format, found.inside);
  if (find_marked(content, "<think>\n", "\n</think>\n\n", found))
    return found.whole + write_calls(format, without(content, found.whole));
  return write_calls(format, content);
}

}  // namespace mtrain::data
