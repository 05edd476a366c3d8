// Chooses the model family named by config.json.
#include "mtrain/base/error.hpp"
#include "mtrain/base/json.hpp"
#include "mtrain/models/dialect.hpp"
#include "mtrain/models/model.hpp"
#include "qwen3/config.hpp"

namespace mtrain::models {

std::unique_ptr<ModelConfig> parse_model_config(const std::string& json_text,
                                                const std::string& where) {
  auto json = parse_json(json_text, where, JsonDialect::kPython);
  if (!json.is_object()) throw UserError(cat(where, ": a JSON object is expected"));
  to_published_dialect(json);
  const std::string type = json.value("model_type", nlohmann::json("")).dump();
  if (type == "\"qwen3\"" || type == "\"qwen3_moe\"")
    return std::make_unique<qwen3::Config>(json, where);
  if (type == "\"qwen3_vl\"" || type == "\"qwen3_vl_moe\"") {
    throw UserError(cat(where, ": model_type ", type, " is not built yet"),
                    "use a text model");
  }
  throw UserError(cat(where, ": model_type ", type, " is not known"),
                  "mtrain trains model_type \"qwen3\" and \"qwen3_moe\"");
}

}  // namespace mtrain::models
