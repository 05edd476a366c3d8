// CRC-32C, the checksum of checkpoints and of TensorBoard files.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mtrain {

/// CRC-32C (Castagnoli polynomial, as in iSCSI, RFC 3720 appendix B.4) of `count` bytes
/// that follow bytes whose CRC is `crc` (0 for none). Uses SSE4.2 where the processor has
/// it.
uint32_t crc32c(uint32_t crc, const void* data, size_t count);

/// The same by tables alone; for processors without the instruction, and for tests.
uint32_t crc32c_by_table(uint32_t crc, const void* data, size_t count);

}  // namespace mtrain
