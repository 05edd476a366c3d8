// Moments of ranks, in words and as JSON.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "mtrain/base/activity.hpp"

namespace mtrain::watch {

/// Where the rank is: "step 12, backward of chunk 0 for micro-batch 3, layer 5".
std::string place_of(const Moment& moment);

/// An operation of a lane: "all-reduce 17 (2048 elements) of group tensor".
std::string describe(const LaneRecord& lane, int64_t number);

nlohmann::json to_json(const Moment& moment);
/// Throws nlohmann::json::exception where it is not one of to_json().
Moment moment_from_json(const nlohmann::json& json);

}  // namespace mtrain::watch
