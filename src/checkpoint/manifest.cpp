// manifest.json to and from text; called by commit() and CheckpointReader.
#include "manifest.hpp"

#include <algorithm>
#include <cstdio>

#include "box_json.hpp"
#include "dtype.hpp"
#include "mtrain/base/crc32c.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/base/json.hpp"
#include "strict_json.hpp"

namespace mtrain::checkpoint {
namespace {

using nlohmann::json;

constexpr char kFormat[] = "mtrain-checkpoint";
constexpr char kNoCrc[] = "00000000";

std::string hex(uint32_t value) {
  char text[9];
  std::snprintf(text, sizeof text, "%08x", value);
  return text;
}

uint32_t crc_field(const json& value, const char* key) {
  const auto text = value.at(key).get<std::string>();
  const bool valid =
      text.size() == 8 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (!valid) throw Error(cat("\"", key, "\" is no CRC of 8 hexadecimal digits"));
  return static_cast<uint32_t>(std::stoul(text, nullptr, 16));
}

/// The library's own conversion takes any number, whatever is left of it.
uint64_t seed_field(const json& value, const char* key) {
  if (!value.at(key).is_number_unsigned())
    throw Error(cat("\"", key, "\" is no integer from 0 to 2^64 - 1"));
  return value.at(key).get<uint64_t>();
}

int int_field(const json& value, const char* key) {
  const int64_t number = integer(value.at(key));
  if (number > INT32_MAX) throw Error(cat("\"", key, "\" is ", number, ", too large"));
  return static_cast<int>(number);
}

json state_to_json(const TrainingState& s) {
  return {{"step", s.step},
          {"updates", s.updates},
          {"samples_consumed", s.samples_consumed},
          {"tokens", s.tokens},
          {"seed", s.seed},
          {"data_seed", s.data_seed},
          {"init_seed", s.init_seed},
          {"stage", s.stage},
          {"model_config", s.model_config_json},
          {"world_size", s.world_size},
          {"layout", s.layout},
          {"extra", s.extra}};
}

TrainingState state_from_json(const json& value) {
  TrainingState s;
  s.step = integer(value.at("step"));
  s.updates = integer(value.at("updates"));
  s.samples_consumed = integer(value.at("samples_consumed"));
  s.tokens = integer(value.at("tokens"));
  s.seed = seed_field(value, "seed");
  s.data_seed = seed_field(value, "data_seed");
  s.init_seed = seed_field(value, "init_seed");
  value.at("stage").get_to(s.stage);
  value.at("model_config").get_to(s.model_config_json);
  s.world_size = int_field(value, "world_size");
  value.at("layout").get_to(s.layout);
  value.at("extra").get_to(s.extra);
  return s;
}

bool is_group_name(const std::string& name) {
  return !name.empty() && name.size() < 64 &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") ==
             std::string::npos;
}

StoredBox stored_box_from_json(const json& value) {
  StoredBox stored{value.at("group").get<std::string>(), box_from_json(value), at::kFloat,
                   integer(value.at("position")), crc_field(value, "crc32c")};
  const auto dtype = dtype_from_name(value.at("dtype").get<std::string>());
  if (!dtype) throw Error(cat("dtype ", value.at("dtype").dump(), " is not supported"));
  stored.dtype = *dtype;
  if (!is_group_name(stored.group))
    throw Error(cat("\"", stored.group, "\" is no name of a group"));
  // The whole tensor, not only the box, must have a size that can be computed with.
  if (!checked_bytes(stored.box.full, *dtype) || stored.box.size() == 0)
    throw Error(cat("tensor \"", stored.box.tensor, "\" has an impossible shape"));
  return stored;
}

void check_positions(const RankFile& file) {
  int64_t end = 0;
  for (const StoredBox& stored : file.boxes) {
    if (stored.position < end || stored.bytes() > file.bytes - stored.position)
      throw Error(cat("the place of ", parallel::to_string(stored.box),
                      " overlaps another or lies outside the file"));
    end = stored.position + stored.bytes();
  }
}

/// The text with the digits of its last field replaced.
std::string with_crc(std::string text, const std::string& digits) {
  const size_t at = text.rfind(":\"");
  if (at == std::string::npos || at + 2 + digits.size() > text.size())
    throw Error("its last field is no checksum");
  return text.replace(at + 2, digits.size(), digits);
}

Manifest manifest_from_json(const json& value) {
  Manifest manifest{};
  manifest.state = state_from_json(value.at("state"));
  manifest.deck_bytes = integer(value.at("deck").at("bytes"));
  manifest.deck_crc = crc_field(value.at("deck"), "crc32c");
  for (const json& file : value.at("files"))
    manifest.files.push_back(rank_file_from_json(file));
  const auto world = static_cast<int>(manifest.files.size());
  for (int rank = 0; rank < world; ++rank) {
    const RankFile& file = manifest.files[static_cast<size_t>(rank)];
    if (file.rank != rank || file.world != world || file.step != manifest.state.step)
      throw Error(cat("entry ", rank, " of files is rank ", file.rank, " of ", file.world,
                      " at step ", file.step));
  }
  if (manifest.files.empty()) throw Error("it lists no files");
  return manifest;
}

}  // namespace

int64_t StoredBox::bytes() const {
  return box.size() * dtype_size(dtype);
}

std::string RankFile::name() const {
  return rank_file_name(rank);
}

std::string rank_file_name(int rank) {
  char text[32];
  std::snprintf(text, sizeof text, "rank-%05d.h5", rank);
  return text;
}

std::string dataset_name(const parallel::Box& box) {
  return cat(box.tensor, "@", join(box.offset, ","));
}

json to_json(const RankFile& file) {
  json boxes = json::array();
  for (const StoredBox& stored : file.boxes) {
    json entry = box_to_json(stored.box);
    entry["group"] = stored.group;
    entry["dtype"] = dtype_name(stored.dtype);
    entry["position"] = stored.position;
    entry["crc32c"] = hex(stored.crc);
    boxes.push_back(std::move(entry));
  }
  return {{"name", file.name()},      {"step", file.step},
          {"rank", file.rank},        {"world", file.world},
          {"bytes", file.bytes},      {"structure_crc32c", hex(file.structure_crc)},
          {"boxes", std::move(boxes)}};
}

RankFile rank_file_from_json(const json& value) {
  RankFile file{};
  file.step = integer(value.at("step"));
  file.rank = int_field(value, "rank");
  file.world = int_field(value, "world");
  file.bytes = integer(value.at("bytes"));
  file.structure_crc = crc_field(value, "structure_crc32c");
  if (value.at("name").get<std::string>() != file.name())
    throw Error(cat("the file of rank ", file.rank, " is not called ", file.name()));
  for (const json& box : value.at("boxes"))
    file.boxes.push_back(stored_box_from_json(box));
  check_positions(file);
  return file;
}

std::string manifest_text(const Manifest& manifest) {
  json files = json::array();
  for (const RankFile& file : manifest.files) files.push_back(to_json(file));
  const nlohmann::ordered_json all = {
      {"format", kFormat},
      {"version", kSchemaVersion},
      {"state", state_to_json(manifest.state)},
      {"deck", {{"bytes", manifest.deck_bytes}, {"crc32c", hex(manifest.deck_crc)}}},
      {"files", std::move(files)},
      {"manifest_crc32c", kNoCrc}};
  const std::string text = all.dump() + "\n";
  return with_crc(text, hex(crc32c(0, text.data(), text.size())));
}

Manifest parse_manifest(const std::string& text, const std::string& path) {
  const char* remedy = "use another checkpoint; this one was damaged or changed";
  const json value = parse_json(text, path);
  try {
    if (value.at("format") != kFormat) throw Error("it is of another format");
    if (value.at("version") != kSchemaVersion)
      throw Error(cat("it has version ", value.at("version").dump(),
                      ", this program reads version ", kSchemaVersion));
    const uint32_t expected = crc_field(value, "manifest_crc32c");
    const std::string zeroed = with_crc(text, kNoCrc);
    if (crc32c(0, zeroed.data(), zeroed.size()) != expected)
      throw Error("its checksum does not match its text");
    return manifest_from_json(value);
  } catch (const json::exception& fault) {
    throw UserError(cat(path, " is no manifest: ", fault.what()), remedy);
  } catch (const Error& fault) {
    throw UserError(cat(path, " is no valid manifest: ", fault.what()), remedy);
  }
}

}  // namespace mtrain::checkpoint
