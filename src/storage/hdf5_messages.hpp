// Decodes the messages of object headers, the same in all versions of the format.
#pragma once

#include <functional>

#include "hdf5_bytes.hpp"
#include "mtrain/storage/hdf5_file.hpp"

namespace mtrain::storage::hdf5 {

/// Kinds of messages this reader uses, with their numbers in the file.
enum Message : uint8_t {
  kDataspace = 0x01,
  kLinkInfo = 0x02,
  kDatatype = 0x03,
  kLink = 0x06,
  kExternalFiles = 0x07,
  kLayout = 0x08,
  kFilters = 0x0B,
  kAttribute = 0x0C,
  kContinuation = 0x10,
  kSymbolTable = 0x11,
  kAttributeInfo = 0x15,
};

/// Calls visit for each message of the object header at `address`, of either version.
/// `shared` says that the body only tells where the message is.
using Visit = std::function<void(uint8_t kind, bool shared, std::string_view body)>;
void for_each_message(Bytes& bytes, uint64_t address, const Visit& visit);

struct Space {
  std::vector<int64_t> extents;
  bool can_grow = false;
  bool is_null = false;
  /// Elements; damaged() where that overflows.
  int64_t count() const;
};
Space parse_space(std::string_view body);
Hdf5Type parse_type(std::string_view body);

struct NamedAttribute {
  std::string name;
  Hdf5Attribute attribute;
};
NamedAttribute parse_attribute(std::string_view body);
Hdf5Link parse_link(std::string_view body);
/// Layout and position.
void parse_layout(std::string_view body, Hdf5Dataset& dataset);

/// Where many links or attributes of an object are kept: kNowhere for both when compact.
struct DenseStorage {
  uint64_t heap = kNowhere;
  uint64_t tree = kNowhere;
};
DenseStorage parse_dense(std::string_view body, size_t index_bytes);

}  // namespace mtrain::storage::hdf5
