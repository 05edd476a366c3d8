// Owns the form of mtrain_checksums.json; called by the export and by mconvert verify.
#include "model_checksums.hpp"

#include "box_json.hpp"
#include "mtrain/base/crc32c.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/base/json.hpp"
#include "strict_json.hpp"

namespace mtrain::checkpoint {
namespace {

using nlohmann::json;

constexpr char kFormat[] = "mtrain-checksums";
constexpr int64_t kVersion = 1;

uint32_t crc_field(const json& value, const char* key) {
  const int64_t crc = integer(value.at(key));
  if (crc > UINT32_MAX) throw Error(cat("\"", key, "\" is no checksum"));
  return static_cast<uint32_t>(crc);
}

json to_json(const std::vector<PartSum>& parts) {
  json values = json::array();
  for (const PartSum& part : parts) {
    values.push_back(box_to_json(part.box));
    values.back()["crc32c"] = part.crc;
  }
  return values;
}

std::vector<PartSum> parts_from_json(const json& values) {
  std::vector<PartSum> parts;
  for (const json& value : values)
    parts.push_back({box_from_json(value), crc_field(value, "crc32c")});
  return parts;
}

ModelSums from_json(const json& root) {
  if (root.at("format") != kFormat || root.at("version") != kVersion)
    throw Error(cat("is not of format ", kFormat, ", version ", kVersion));
  ModelSums sums;
  for (const json& file : root.at("files"))
    sums.files.push_back({file.at("name").get<std::string>(), integer(file.at("bytes")),
                          crc_field(file, "crc32c")});
  for (const json& shard : root.at("shards"))
    sums.shards.push_back({shard.at("name").get<std::string>(),
                           integer(shard.at("bytes")), integer(shard.at("header_bytes")),
                           crc_field(shard, "header_crc32c"),
                           parts_from_json(shard.at("parts"))});
  return sums;
}

}  // namespace

FileSum sum_of(const std::string& name, const std::string& text) {
  return {name, static_cast<int64_t>(text.size()), crc32c(0, text.data(), text.size())};
}

std::string parts_text(const std::vector<PartSum>& parts) {
  return to_json(parts).dump();
}

std::vector<PartSum> parts_of_text(const std::string& text) {
  return parts_from_json(parse_json(text, "summary of an export"));
}

std::string checksums_text(const ModelSums& sums) {
  json files = json::array(), shards = json::array();
  for (const FileSum& file : sums.files)
    files.push_back({{"name", file.name}, {"bytes", file.bytes}, {"crc32c", file.crc}});
  for (const ShardSum& shard : sums.shards)
    shards.push_back({{"name", shard.name},
                      {"bytes", shard.bytes},
                      {"header_bytes", shard.header_bytes},
                      {"header_crc32c", shard.header_crc},
                      {"parts", to_json(shard.parts)}});
  return json{{"format", kFormat},
              {"version", kVersion},
              {"files", files},
              {"shards", shards}}
             .dump() +
         "\n";
}

ModelSums parse_checksums(const std::string& text, const std::string& where) {
  const json root = parse_json(text, where);
  try {
    return from_json(root);
  } catch (const std::exception& fault) {
    throw UserError(cat(where, " is damaged: ", fault.what()), "export the model anew");
  }
}

}  // namespace mtrain::checkpoint
