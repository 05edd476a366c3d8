// Owns the names that differ between the dialects of config.json; called by the parser
// and by the export.
#include "mtrain/models/dialect.hpp"

namespace mtrain::models {
namespace {

template <class J>
const J* find(const J& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

/// An object without entries says as much as none.
template <class J>
const J* find_filled(const J& config, const char* key) {
  const J* value = find(config, key);
  return value && value->is_object() && value->empty() ? nullptr : value;
}

template <class J>
bool is_plain_rope(const J& rope) {
  if (!rope.is_object()) return false;
  for (const char* key : {"rope_type", "type"})
    if (const J* type = find(rope, key)) return *type == "default";
  return true;
}

/// transformers takes rope_scaling before rope_parameters, and the theta inside of either
/// before the one beside it.
template <class J>
void unite_rope(J& config) {
  const J* scaling = find_filled(config, "rope_scaling");
  const J* rope = scaling ? scaling : find_filled(config, "rope_parameters");
  if (rope && !is_plain_rope(*rope)) return;
  if (const J* theta = rope ? find(*rope, "rope_theta") : nullptr) {
    const J inner = *theta;
    config["rope_theta"] = inner;
  }
  config.erase("rope_parameters");
  config["rope_scaling"] = nullptr;
}

template <class J>
void unite_experts(J& config) {
  const J* local = find(config, "num_local_experts");
  const J* plain = find(config, "num_experts");
  if (local && plain && *local != *plain) return;
  if (local) {
    const J count = *local;
    config["num_experts"] = count;
  }
  config.erase("num_local_experts");
}

template <class J>
void unite_dtype(J& config) {
  if (const J* dtype = find(config, "dtype")) {
    const J name = *dtype;
    config["torch_dtype"] = name;
  }
  config.erase("dtype");
}

}  // namespace

template <class J>
void to_published_dialect(J& config) {
  unite_dtype(config);
  unite_rope(config);
  unite_experts(config);
  config.erase("layer_types");
  config.erase("quantization_config");
  const J* type = find(config, "model_type");
  if (!type) return;
  if (*type == "qwen3") config["architectures"] = J::array({"Qwen3ForCausalLM"});
  if (*type == "qwen3_moe") config["architectures"] = J::array({"Qwen3MoeForCausalLM"});
}

template void to_published_dialect(nlohmann::json& config);
template void to_published_dialect(nlohmann::ordered_json& config);

std::string quantization_of(const nlohmann::json& config) {
  const auto* claim = find(config, "quantization_config");
  if (!claim) return {};
  const auto* method = claim->is_object() ? find(*claim, "quant_method") : nullptr;
  return method && method->is_string() ? method->get<std::string>() : "unknown";
}

}  // namespace mtrain::models
