// CRC-32C by the processor's instruction, three streams at a time, or by tables.
#include "mtrain/base/crc32c.hpp"

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace mtrain {
namespace {

constexpr uint32_t kPolynomial = 0x82f63b78;  // reflected

using Tables = std::array<std::array<uint32_t, 256>, 8>;

/// tables[k][b]: the CRC register after byte b and k zero bytes.
constexpr Tables make_tables() {
  Tables tables{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc & 1 ? kPolynomial : 0);
    tables[0][byte] = crc;
  }
  for (size_t k = 1; k < 8; ++k)
    for (uint32_t byte = 0; byte < 256; ++byte)
      tables[k][byte] =
          (tables[k - 1][byte] >> 8) ^ tables[0][tables[k - 1][byte] & 0xff];
  return tables;
}

constexpr Tables kTables = make_tables();

uint64_t load64(const unsigned char* bytes) {
  uint64_t word;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

uint32_t table_register(uint32_t crc, const unsigned char* bytes, size_t count) {
  for (; count >= 8; bytes += 8, count -= 8) {
    const uint64_t word = load64(bytes) ^ crc;
    crc = 0;
    for (size_t k = 0; k < 8; ++k) crc ^= kTables[7 - k][(word >> (8 * k)) & 0xff];
  }
  for (; count > 0; ++bytes, --count)
    crc = (crc >> 8) ^ kTables[0][(crc ^ *bytes) & 0xff];
  return crc;
}

#if defined(__x86_64__)

constexpr size_t kStream = 4096;  // bytes of each of the three parallel streams

/// The register after kStream (or twice as many) zero bytes, as a linear map of its four
/// bytes.
class ZeroShift {
 public:
  explicit ZeroShift(size_t zeros) {
    std::array<uint32_t, 32> of_bit{};
    for (size_t bit = 0; bit < 32; ++bit) of_bit[bit] = advance(1u << bit, zeros);
    for (size_t part = 0; part < 4; ++part)
      for (size_t byte = 0; byte < 256; ++byte)
        for (size_t bit = 0; bit < 8; ++bit)
          if (byte >> bit & 1) table_[part][byte] ^= of_bit[8 * part + bit];
  }
  uint32_t operator()(uint32_t crc) const {
    return table_[0][crc & 0xff] ^ table_[1][crc >> 8 & 0xff] ^
           table_[2][crc >> 16 & 0xff] ^ table_[3][crc >> 24];
  }

 private:
  static uint32_t advance(uint32_t crc, size_t zeros) {
    for (; zeros > 0; --zeros) crc = (crc >> 8) ^ kTables[0][crc & 0xff];
    return crc;
  }
  std::array<std::array<uint32_t, 256>, 4> table_{};
};

// The instruction takes three cycles but one can start each cycle: three independent
// streams keep it busy, and the shift by a fixed number of zero bytes joins them.
__attribute__((target("sse4.2"))) uint32_t instruction_register(
    uint32_t crc, const unsigned char* bytes, size_t count) {
  static const ZeroShift one_stream(kStream), two_streams(2 * kStream);
  for (; count >= 3 * kStream; bytes += 3 * kStream, count -= 3 * kStream) {
    uint64_t a = crc, b = 0, c = 0;
    for (size_t i = 0; i < kStream; i += 8) {
      a = _mm_crc32_u64(a, load64(bytes + i));
      b = _mm_crc32_u64(b, load64(bytes + kStream + i));
      c = _mm_crc32_u64(c, load64(bytes + 2 * kStream + i));
    }
    crc = two_streams(static_cast<uint32_t>(a)) ^ one_stream(static_cast<uint32_t>(b)) ^
          static_cast<uint32_t>(c);
  }
  uint64_t wide = crc;
  for (; count >= 8; bytes += 8, count -= 8) wide = _mm_crc32_u64(wide, load64(bytes));
  crc = static_cast<uint32_t>(wide);
  for (; count > 0; ++bytes, --count) crc = _mm_crc32_u8(crc, *bytes);
  return crc;
}

#endif

}  // namespace

uint32_t crc32c_by_table(uint32_t crc, const void* data, size_t count) {
  return ~table_register(~crc, static_cast<const unsigned char*>(data), count);
}

uint32_t crc32c(uint32_t crc, const void* data, size_t count) {
#if defined(__x86_64__)
  static const bool has_instruction = __builtin_cpu_supports("sse4.2");
  if (has_instruction)
    return ~instruction_register(~crc, static_cast<const unsigned char*>(data), count);
#endif
  return crc32c_by_table(crc, data, count);
}

}  // namespace mtrain
