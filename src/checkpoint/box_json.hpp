// Boxes as JSON, for manifests and the summaries ranks exchange.
#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "mtrain/parallel/box.hpp"

namespace mtrain::checkpoint {

/// {"tensor":..., "full":[...], "offset":[...], "extent":[...]}
nlohmann::json box_to_json(const parallel::Box& box);
/// Throws nlohmann's exceptions on a wrong form, UserError on ranges outside the tensor.
parallel::Box box_from_json(const nlohmann::json& value);

nlohmann::json boxes_to_json(const std::vector<parallel::Box>& boxes);
std::vector<parallel::Box> boxes_from_json(const nlohmann::json& values);

}  // namespace mtrain::checkpoint
