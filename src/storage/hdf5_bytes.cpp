// Bounded access to the bytes of an HDF5 file; all other parts of the reader go through
// it.
#include "hdf5_bytes.hpp"

namespace mtrain::storage::hdf5 {
namespace {

// Fuzzers would not get past them; whoever forges a file gets them right.
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
constexpr bool kSumsCount = false;
#else
constexpr bool kSumsCount = true;
#endif

}  // namespace

void damaged(const std::string& what) {
  throw Error(cat("damaged HDF5 file: ", what));
}

uint64_t Fields::number(size_t bytes) {
  uint64_t value = 0;
  const std::string_view field = take(bytes);
  for (size_t i = bytes; i-- > 0;) value = value << 8 | static_cast<uint8_t>(field[i]);
  return value;
}

std::string_view Fields::take(uint64_t count) {
  if (count > bytes_.size()) damaged("a structure ends before its last field");
  const std::string_view field = bytes_.substr(0, count);
  bytes_.remove_prefix(count);
  return field;
}

std::string Bytes::peek(uint64_t at, uint64_t count, const char* what) const {
  if (at > size_ || count > size_ - at)
    damaged(cat(what, " at ", at, " of ", count, " bytes lies outside the file"));
  std::string bytes(count, '\0');
  if (count > 0) read_(static_cast<int64_t>(at), bytes.data(), count);
  return bytes;
}

std::string Bytes::claim(uint64_t at, uint64_t count, const char* what) {
  std::string bytes = peek(at, count, what);
  if (count == 0) return bytes;
  const auto after = claimed_.lower_bound(at + count);
  if (after != claimed_.begin() && std::prev(after)->second > at)
    damaged(cat(what, " at ", at, " overlaps another structure, or is its own part"));
  claimed_[at] = at + count;
  return bytes;
}

std::string Bytes::claim_checked(uint64_t at, uint64_t count, const char* signature) {
  std::string bytes = claim(at, count, signature);
  Fields fields(bytes);
  expect_signature(fields, signature);
  check_sum(bytes, signature);
  return bytes.substr(4, bytes.size() - 8);
}

void expect_signature(Fields& fields, const char* signature) {
  if (fields.take(4) != signature) damaged(cat("no ", signature, " where one is due"));
}

void check_sum(std::string_view bytes, const char* what) {
  if (bytes.size() < 8) damaged(cat(what, " is too short"));
  Fields sum(bytes.substr(bytes.size() - 4));
  expect_sum(sum.number(4), bytes.substr(0, bytes.size() - 4), what);
}

void expect_sum(uint64_t sum, std::string_view bytes, const char* what) {
  if (kSumsCount && sum != lookup3(bytes))
    damaged(cat("the checksum of ", what, " does not match"));
}

namespace {

uint32_t rotated(uint32_t value, int bits) {
  return value << bits | value >> (32 - bits);
}

// The two mixing steps of https://burtleburtle.net/bob/c/lookup3.c.
void mix(uint32_t& a, uint32_t& b, uint32_t& c) {
  a = (a - c) ^ rotated(c, 4), c += b;
  b = (b - a) ^ rotated(a, 6), a += c;
  c = (c - b) ^ rotated(b, 8), b += a;
  a = (a - c) ^ rotated(c, 16), c += b;
  b = (b - a) ^ rotated(a, 19), a += c;
  c = (c - b) ^ rotated(b, 4), b += a;
}

void mix_last(uint32_t& a, uint32_t& b, uint32_t& c) {
  c = (c ^ b) - rotated(b, 14);
  a = (a ^ c) - rotated(c, 11);
  b = (b ^ a) - rotated(a, 25);
  c = (c ^ b) - rotated(b, 16);
  a = (a ^ c) - rotated(c, 4);
  b = (b ^ a) - rotated(a, 14);
  c = (c ^ b) - rotated(b, 24);
}

}  // namespace

uint32_t lookup3(std::string_view bytes) {
  uint32_t a = 0xdeadbeef + static_cast<uint32_t>(bytes.size()), b = a, c = a;
  const auto add = [&](std::string_view part) {
    std::string block(part);
    block.resize(12, '\0');
    Fields fields(block);
    for (uint32_t* word : {&a, &b, &c}) *word += static_cast<uint32_t>(fields.number(4));
  };
  for (; bytes.size() > 12; bytes.remove_prefix(12)) {
    add(bytes.substr(0, 12));
    mix(a, b, c);
  }
  if (bytes.empty()) return c;
  add(bytes);
  mix_last(a, b, c);
  return c;
}

}  // namespace mtrain::storage::hdf5
