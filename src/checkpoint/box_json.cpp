// The one place that knows how a box is spelled in JSON.
#include "box_json.hpp"

#include "box_copy.hpp"
#include "mtrain/base/error.hpp"
#include "strict_json.hpp"

namespace mtrain::checkpoint {

using nlohmann::json;

json box_to_json(const parallel::Box& box) {
  return {{"tensor", box.tensor},
          {"full", box.full},
          {"offset", box.offset},
          {"extent", box.extent}};
}

parallel::Box box_from_json(const json& value) {
  parallel::Box box;
  value.at("tensor").get_to(box.tensor);
  box.full = integer_list(value.at("full"));
  box.offset = integer_list(value.at("offset"));
  box.extent = integer_list(value.at("extent"));
  if (box.offset.size() != box.full.size() || box.extent.size() != box.full.size())
    throw UserError(cat("tensor \"", box.tensor, "\": offset [", join(box.offset, ", "),
                        "] and extent [", join(box.extent, ", "), "] do not fit shape [",
                        join(box.full, ", "), "]"));
  if (!is_inside(box))
    throw UserError(cat(parallel::to_string(box), " lies outside shape [",
                        join(box.full, ", "), "]"));
  return box;
}

json boxes_to_json(const std::vector<parallel::Box>& boxes) {
  json values = json::array();
  for (const parallel::Box& box : boxes) values.push_back(box_to_json(box));
  return values;
}

std::vector<parallel::Box> boxes_from_json(const json& values) {
  std::vector<parallel::Box> boxes;
  for (const json& value : values) boxes.push_back(box_from_json(value));
  return boxes;
}

}  // namespace mtrain::checkpoint
