// Parses and checks the header of one safetensors file; used by the folder source.
#include "safetensors_file.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <bit>
#include <cstdio>

#include "box_copy.hpp"
#include "coverage.hpp"
#include "dtype.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/base/json.hpp"
#include "strict_json.hpp"

static_assert(std::endian::native == std::endian::little, "files are read as they lie");

namespace mtrain::checkpoint {
namespace {

using nlohmann::json;

constexpr uint64_t kMaxHeader = 100'000'000;
constexpr char kRemedy[] =
    "the file is damaged or not safetensors: fetch or export it anew";

[[noreturn]] void refuse(const File& file, const std::string& why) {
  throw UserError(cat(file.path().string(), ": ", why), kRemedy);
}

/// The header's text, its length checked against the file's.
std::string header_text(const File& file, int64_t file_size) {
  if (file_size < 8) refuse(file, cat("has only ", file_size, " bytes"));
  uint64_t length = 0;
  file.read_at(0, &length, sizeof length);
  if (length > kMaxHeader)
    refuse(file, cat("claims a header of ", length, " bytes; at most ", kMaxHeader,
                     " are allowed"));
  if (static_cast<int64_t>(length) > file_size - 8)
    refuse(file, cat("claims a header of ", length, " bytes but has ", file_size,
                     " bytes in all"));
  std::string text(length, '\0');
  file.read_at(8, text.data(), text.size());
  if (text.empty() || text[0] != '{') refuse(file, "the header does not start with '{'");
  return text;
}

/// The field `key` of a tensor's description; the message of a fault says which field it
/// is.
std::vector<int64_t> integer_field(const json& description, const char* key) {
  try {
    return integer_list(description.at(key));
  } catch (const Error& fault) {
    throw Error(cat("\"", key, "\" ", fault.what()));
  }
}

SafetensorsFile::Entry parse_entry(const std::string& name, const json& description) {
  if (!description.is_object()) throw Error("is not described by an object");
  for (const char* key : {"dtype", "shape", "data_offsets"})
    if (!description.contains(key)) throw Error(cat("has no \"", key, "\""));
  if (description.size() != 3)
    throw Error("is described by more than dtype, shape, data_offsets");
  if (!description["dtype"].is_string()) throw Error("\"dtype\" is not a string");
  const auto dtype_text = description["dtype"].get<std::string>();
  const auto dtype = dtype_from_safetensors(dtype_text);
  if (!dtype) throw Error(cat("has the unsupported dtype \"", dtype_text, "\""));
  const auto shape = integer_field(description, "shape");
  const auto offsets = integer_field(description, "data_offsets");
  if (offsets.size() != 2) throw Error("\"data_offsets\" is not a pair");
  const auto bytes = checked_bytes(shape, *dtype);
  if (!bytes) throw Error(cat("has a shape too large: [", join(shape, ", "), "]"));
  if (offsets[1] < offsets[0] || offsets[1] - offsets[0] != *bytes)
    throw Error(cat("has data_offsets [", join(offsets, ", "), "], but shape [",
                    join(shape, ", "), "] of ", dtype_text, " takes ", *bytes, " bytes"));
  return {{name, shape, *dtype}, offsets[0], offsets[1]};
}

void check_metadata(const File& file, const json& metadata) {
  if (!metadata.is_object()) refuse(file, "__metadata__ is not an object");
  for (const auto& [key, value] : metadata.items())
    if (!value.is_string())
      refuse(file, cat("__metadata__ entry \"", key, "\" is not a string"));
}

/// Entries sorted by place; they must follow each other from 0 to the end of the file.
void check_places(const File& file, std::vector<SafetensorsFile::Entry>& entries,
                  int64_t data_bytes) {
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
    return std::tie(a.begin, a.end, a.info.name) < std::tie(b.begin, b.end, b.info.name);
  });
  int64_t expected = 0;
  for (const auto& entry : entries) {
    if (entry.begin != expected)
      refuse(file, cat("tensor \"", entry.info.name, "\" starts at byte ", entry.begin,
                       " of the data, not at ", expected, ": the data ",
                       entry.begin < expected ? "overlap" : "have a hole"));
    expected = entry.end;
  }
  if (expected != data_bytes)
    refuse(file, cat("the tensors end at byte ", expected, " of the data, the file at ",
                     data_bytes));
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path)
    : file_(File::open_input(path)) {
  const int64_t file_size = file_.size();
  const std::string text = header_text(file_, file_size);
  const json header = parse_json(text, cat("the header of ", path.string()));
  for (const auto& [name, description] : header.items()) {
    if (name == "__metadata__") {
      check_metadata(file_, description);
      continue;
    }
    try {
      entries_.push_back(parse_entry(name, description));
    } catch (const Error& fault) {
      refuse(file_, cat("tensor \"", name, "\" ", fault.what()));
    }
  }
  data_begin_ = 8 + static_cast<int64_t>(text.size());
  check_places(file_, entries_, file_size - data_begin_);
}

void SafetensorsFile::read(const Entry& entry, const parallel::Box& box,
                           void* out) const {
  if (box.full != entry.info.shape || !is_inside(box))
    throw UserError(cat(path().string(), ": tensor \"", entry.info.name, "\" has shape [",
                        join(entry.info.shape, ", "), "], not [", join(box.full, ", "),
                        "] as needed for ", parallel::to_string(box)),
                    "model files and config.json must belong together");
  if (box.size() > 0)
    read_box(box, whole_box(box.tensor, box.full), file_, data_begin_ + entry.begin, box,
             out, dtype_size(entry.info.dtype));
}

std::string shard_name(int64_t index, int64_t count) {
  if (count == 1) return kSingleFile;
  char text[64];
  std::snprintf(text, sizeof text, "model-%05lld-of-%05lld.safetensors",
                static_cast<long long>(index + 1), static_cast<long long>(count));
  return text;
}

}  // namespace mtrain::checkpoint
