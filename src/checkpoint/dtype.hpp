// Names and sizes of element types in safetensors headers and in our own files.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <string_view>

namespace mtrain::checkpoint {

/// "F32", "BF16" ...: the name safetensors uses; nothing for types we do not read.
std::optional<at::ScalarType> dtype_from_safetensors(std::string_view name);
std::string safetensors_name(at::ScalarType dtype);

/// "float32", "bfloat16", "float16": the types a checkpoint stores; nothing for others.
std::optional<at::ScalarType> dtype_from_name(std::string_view name);
std::string dtype_name(at::ScalarType dtype);

/// Bytes of one element.
int64_t dtype_size(at::ScalarType dtype);

/// Bytes of a tensor, or nothing when shape x dtype exceeds 63 bits or an extent is
/// negative.
std::optional<int64_t> checked_bytes(const std::vector<int64_t>& shape,
                                     at::ScalarType dtype);

}  // namespace mtrain::checkpoint
