// Reads typed values out of a config.json in the published dialect and collects every
// fault before complaining.
#pragma once

#include <ATen/core/Tensor.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "mtrain/base/error.hpp"

namespace mtrain::models {

class ConfigReader {
 public:
  ConfigReader(const nlohmann::json& json, std::string where)
      : json_(json), where_(std::move(where)) {}

  /// A positive integer; a fault is recorded when it is missing or something else.
  int64_t size(const std::string& key) { return size_or(key, std::nullopt); }
  int64_t size_or(const std::string& key, std::optional<int64_t> fallback);
  /// A positive number.
  double number_or(const std::string& key, std::optional<double> fallback);
  /// A number from 0 on.
  double coefficient_or(const std::string& key, double fallback);
  /// Integers that are not negative; none where the key is missing.
  std::vector<int64_t> list(const std::string& key);
  bool has(const std::string& key) const { return find(key) != nullptr; }
  bool flag_or(const std::string& key, bool fallback);
  /// The rotary base; rope types other than the default are refused.
  double rope_theta();
  /// torch_dtype; float32 when it is not given.
  at::ScalarType dtype();
  /// Records a fault unless the key is absent, null or equal to `only`.
  void require_only(const std::string& key, const nlohmann::json& only);
  void fault(const std::string& message) { faults_.push_back(message); }
  /// Throws UserError with all recorded faults, if any.
  void finish() const;

 private:
  const nlohmann::json* find(const std::string& key) const;

  const nlohmann::json& json_;
  std::string where_;
  std::vector<std::string> faults_;
};

}  // namespace mtrain::models
