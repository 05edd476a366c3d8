// Chooses the model family named by config.json.
#include <nlohmann/json.hpp>
#include <set>

#include "mtrain/base/error.hpp"
#include "mtrain/models/model.hpp"
#include "qwen3/config.hpp"

namespace mtrain::models {
namespace {

constexpr int kMaxJsonDepth = 64;

/// Refuses what is nested too deep before it costs stack, and keys given twice.
nlohmann::json parse_guarded(const std::string& text, const std::string& where) {
  std::vector<std::set<std::string>> keys;
  const auto guard = [&](int depth, nlohmann::json::parse_event_t event,
                         nlohmann::json& value) {
    using Event = nlohmann::json::parse_event_t;
    if (depth > kMaxJsonDepth) {
      throw UserError(cat(where, ": nested deeper than ", kMaxJsonDepth, " levels"));
    }
    if (event == Event::object_start) keys.emplace_back();
    if (event == Event::object_end) keys.pop_back();
    if (event == Event::key) {
      const auto name = value.get<std::string>();
      if (!keys.back().insert(name).second)
        throw UserError(cat(where, ": key \"", name, "\" is given twice"));
    }
    return true;
  };
  try {
    return nlohmann::json::parse(text, guard);
  } catch (const nlohmann::json::exception& error) {
    throw UserError(cat(where, ": not valid JSON: ", error.what()));
  }
}

}  // namespace

std::unique_ptr<ModelConfig> parse_model_config(const std::string& json_text,
                                                const std::string& where) {
  const auto json = parse_guarded(json_text, where);
  if (!json.is_object()) throw UserError(cat(where, ": a JSON object is expected"));
  const std::string type = json.value("model_type", nlohmann::json("")).dump();
  if (type == "\"qwen3\"") return std::make_unique<qwen3::Config>(json, where);
  if (type == "\"qwen3_moe\"" || type == "\"qwen3_vl\"" || type == "\"qwen3_vl_moe\"") {
    throw UserError(cat(where, ": model_type ", type, " is not built yet"),
                    "use a dense Qwen3 model");
  }
  throw UserError(cat(where, ": model_type ", type, " is not known"),
                  "mtrain trains model_type \"qwen3\"");
}

}  // namespace mtrain::models
