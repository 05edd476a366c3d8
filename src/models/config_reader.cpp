// Typed access to config.json; the model families read their sizes through it.
#include "config_reader.hpp"

#include <cmath>

namespace mtrain::models {

const nlohmann::json* ConfigReader::find(const std::string& key) const {
  const auto found = json_.find(key);
  return found == json_.end() || found->is_null() ? nullptr : &*found;
}

int64_t ConfigReader::size_or(const std::string& key, std::optional<int64_t> fallback) {
  const auto* value = find(key);
  if (!value && fallback) return *fallback;
  constexpr int64_t kLargest = int64_t{1} << 40;
  const bool good = value && value->is_number_integer() && value->get<int64_t>() > 0 &&
                    value->get<int64_t>() < kLargest;
  if (good) return value->get<int64_t>();
  fault(cat(key, " must be a positive integer, not ", value ? value->dump() : "missing"));
  return 1;
}

double ConfigReader::number_or(const std::string& key, std::optional<double> fallback) {
  const auto* value = find(key);
  if (!value && fallback) return *fallback;
  const bool good = value && value->is_number() && std::isfinite(value->get<double>()) &&
                    value->get<double>() > 0;
  if (good) return value->get<double>();
  fault(cat(key, " must be a positive number, not ", value ? value->dump() : "missing"));
  return 1.0;
}

double ConfigReader::coefficient_or(const std::string& key, double fallback) {
  const auto* value = find(key);
  if (!value) return fallback;
  const bool good = value->is_number() && std::isfinite(value->get<double>()) &&
                    value->get<double>() >= 0;
  if (good) return value->get<double>();
  fault(cat(key, " must be a number from 0 on, not ", value->dump()));
  return fallback;
}

std::vector<int64_t> ConfigReader::list(const std::string& key) {
  const auto* value = find(key);
  if (!value) return {};
  std::vector<int64_t> result;
  bool good = value->is_array();
  for (const auto& item : good ? *value : nlohmann::json::array()) {
    good = good && item.is_number_integer() && item.get<int64_t>() >= 0;
    if (good) result.push_back(item.get<int64_t>());
  }
  if (!good) {
    fault(cat(key, " must be a list of integers from 0 on, not ", value->dump()));
  }
  return result;
}

bool ConfigReader::flag_or(const std::string& key, bool fallback) {
  const auto* value = find(key);
  if (!value) return fallback;
  if (value->is_boolean()) return value->get<bool>();
  fault(cat(key, " must be true or false, not ", value->dump()));
  return fallback;
}

double ConfigReader::rope_theta() {
  require_only("rope_scaling", nullptr);
  require_only("rope_parameters", nullptr);
  constexpr double kDefault = 10'000;  // of transformers' Qwen3Config
  return number_or("rope_theta", kDefault);
}

at::ScalarType ConfigReader::dtype() {
  const auto* value = find("torch_dtype");
  if (!value || *value == "float32") return at::kFloat;
  if (*value == "bfloat16") return at::kBFloat16;
  if (*value == "float16") return at::kHalf;
  fault(cat("torch_dtype must be float32, bfloat16 or float16, not ", value->dump()));
  return at::kFloat;
}

void ConfigReader::require_only(const std::string& key, const nlohmann::json& only) {
  const auto* value = find(key);
  if (!value || *value == only) return;
  fault(cat(key, " = ", value->dump(), " is not supported, only ", only.dump()));
}

void ConfigReader::finish() const {
  if (faults_.empty()) return;
  throw UserError(cat(where_, ": ", join(faults_, "; ")),
                  "give the config.json that belongs to the model");
}

}  // namespace mtrain::models
