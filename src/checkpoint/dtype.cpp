// The table of element types; used by the readers and writers of this layer.
#include "dtype.hpp"

#include <ATen/ATen.h>

#include "mtrain/base/error.hpp"

namespace mtrain::checkpoint {
namespace {

struct Entry {
  at::ScalarType dtype;
  std::string_view safetensors;
  std::string_view name;
  bool stored;  ///< may appear in a checkpoint of ours
};

constexpr Entry kTypes[] = {
    {at::kFloat, "F32", "float32", true},
    {at::kBFloat16, "BF16", "bfloat16", true},
    {at::kHalf, "F16", "float16", true},
    {at::kDouble, "F64", "float64", false},
    {at::kLong, "I64", "int64", false},
    {at::kInt, "I32", "int32", false},
    {at::kShort, "I16", "int16", false},
    {at::kChar, "I8", "int8", false},
    {at::kByte, "U8", "uint8", false},
    {at::kBool, "BOOL", "bool", false},
    {at::kFloat8_e4m3fn, "F8_E4M3", "float8_e4m3fn", false},
    {at::kFloat8_e5m2, "F8_E5M2", "float8_e5m2", false},
    {at::kFloat8_e8m0fnu, "F8_E8M0", "float8_e8m0fnu", false},
};

const Entry& entry(at::ScalarType dtype) {
  for (const Entry& type : kTypes)
    if (type.dtype == dtype) return type;
  throw Error(cat("element type ", c10::toString(dtype), " cannot be stored"),
              "use float32, bfloat16 or float16");
}

}  // namespace

std::optional<at::ScalarType> dtype_from_safetensors(std::string_view name) {
  for (const Entry& type : kTypes)
    if (type.safetensors == name) return type.dtype;
  return std::nullopt;
}

std::string safetensors_name(at::ScalarType dtype) {
  return std::string(entry(dtype).safetensors);
}

std::optional<at::ScalarType> dtype_from_name(std::string_view name) {
  for (const Entry& type : kTypes)
    if (type.stored && type.name == name) return type.dtype;
  return std::nullopt;
}

std::string dtype_name(at::ScalarType dtype) {
  return std::string(entry(dtype).name);
}

int64_t dtype_size(at::ScalarType dtype) {
  return static_cast<int64_t>(c10::elementSize(entry(dtype).dtype));
}

std::optional<int64_t> checked_bytes(const std::vector<int64_t>& shape,
                                     at::ScalarType dtype) {
  int64_t bytes = dtype_size(dtype);
  for (const int64_t extent : shape)
    if (extent < 0 || __builtin_mul_overflow(bytes, extent, &bytes)) return std::nullopt;
  return bytes;
}

}  // namespace mtrain::checkpoint
