// config.json has been written in several dialects over the years; this is the one we
// read and write.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace mtrain::models {

/// Rewrites a config.json object in the dialect Qwen3 was published in, each fact under
/// one name: `torch_dtype` (not `dtype`), `rope_theta` with `rope_scaling` null (not
/// `rope_parameters`, nor a scaling of type default), `num_experts` (not
/// `num_local_experts`), no `quantization_config`, no `layer_types`, the architecture
/// that belongs to `model_type`. What stands in two places is resolved as transformers
/// does it. What cannot be said in this dialect (other rope types, two numbers of
/// experts) stays as it is, for the reader to refuse. `J` is nlohmann::json or
/// ordered_json.
template <class J>
void to_published_dialect(J& config);

/// "fp8" where config.json claims weights of that quantization; empty where it claims
/// none.
std::string quantization_of(const nlohmann::json& config);

}  // namespace mtrain::models
