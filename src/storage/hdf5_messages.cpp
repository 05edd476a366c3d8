// Decodes dataspaces, datatypes, attributes, links and layouts; called for every object.
#include "hdf5_messages.hpp"

namespace mtrain::storage::hdf5 {
namespace {

int64_t extent(uint64_t value) {
  if (value > INT64_MAX) damaged("an impossible extent");
  return static_cast<int64_t>(value);
}

// IEEE single, little-endian: the message behind its version, as the library writes it.
constexpr std::string_view kFloat32Message(
    "\x20\x1f\x00\x04\x00\x00\x00\x00\x00\x20\x00\x17\x08\x00\x17\x7f\x00\x00\x00", 19);

bool uses_all_bits(Fields properties, int64_t bytes) {
  const uint64_t offset = properties.number(2);
  return offset == 0 && properties.number(2) == static_cast<uint64_t>(bytes) * 8;
}

/// A name with the zero byte at its end, in version 1 padded to eight bytes.
std::string_view take_padded(Fields& fields, uint64_t size, bool padded) {
  const std::string_view field = fields.take(size);
  if (padded) fields.skip((8 - size % 8) % 8);
  return field;
}

}  // namespace

int64_t Space::count() const {
  int64_t count = is_null ? 0 : 1;
  for (const int64_t extent : extents)
    if (__builtin_mul_overflow(count, extent, &count)) damaged("an impossible extent");
  return count;
}

Space parse_space(std::string_view body) {
  Fields fields(body);
  Space space;
  const uint64_t version = fields.number(1), rank = fields.number(1);
  const bool has_limits = (fields.number(1) & 1) != 0;
  if (version == 1)
    fields.skip(5);
  else if (version == 2)
    space.is_null = fields.number(1) == 2;
  else
    damaged("a dataspace of an unknown version");
  for (uint64_t d = 0; d < rank; ++d) space.extents.push_back(extent(fields.number(8)));
  for (uint64_t d = 0; has_limits && d < rank; ++d)
    if (fields.number(8) != static_cast<uint64_t>(space.extents[d]))
      space.can_grow = true;
  return space;
}

Hdf5Type parse_type(std::string_view body) {
  enum Class : uint64_t {
    kFixedPoint = 0,
    kFloatingPoint = 1,
    kString = 3,
    kVariable = 9
  };
  Fields fields(body);
  Hdf5Type type;
  const uint64_t word = fields.number(1) & 15;
  const std::string_view behind = fields.rest();
  const uint64_t bits = fields.number(3);
  type.bytes = static_cast<int64_t>(fields.number(4));
  if (word == kFixedPoint && type.bytes <= 8 && uses_all_bits(fields, type.bytes)) {
    type.kind = Hdf5Type::Kind::kInteger;
    type.is_big_endian = (bits & 1) != 0;
    type.is_signed = (bits & 8) != 0;
  } else if (word == kFloatingPoint && behind.starts_with(kFloat32Message)) {
    type.kind = Hdf5Type::Kind::kFloat32;
  } else if (word == kString) {
    type.kind = Hdf5Type::Kind::kText;
  } else if (word == kVariable && (bits & 15) == 1) {
    type.kind = Hdf5Type::Kind::kLongText;
  }
  if (type.bytes == 0) damaged("a datatype of no bytes");
  return type;
}

NamedAttribute parse_attribute(std::string_view body) {
  Fields fields(body);
  const uint64_t version = fields.number(1), flags = fields.number(1);
  if (version < 1 || version > 3) damaged("an attribute of an unknown version");
  const uint64_t name = fields.number(2), type = fields.number(2),
                 space = fields.number(2);
  if (version == 3) fields.skip(1);
  const std::string_view text = take_padded(fields, name, version == 1);
  const std::string_view type_body = take_padded(fields, type, version == 1);
  const std::string_view space_body = take_padded(fields, space, version == 1);
  NamedAttribute result{std::string(text.substr(0, text.find('\0'))), {}};
  if (version > 1 && (flags & 3) != 0) return result;  // its type or space is elsewhere
  Hdf5Attribute& attribute = result.attribute;
  attribute.type = parse_type(type_body);
  attribute.count = parse_space(space_body).count();
  if (attribute.type.kind == Hdf5Type::Kind::kOther) return result;
  int64_t bytes = 0;
  if (__builtin_mul_overflow(attribute.count, attribute.type.bytes, &bytes))
    damaged("an attribute of an impossible size");
  attribute.bytes = fields.take(static_cast<uint64_t>(bytes));
  return result;
}

Hdf5Link parse_link(std::string_view body) {
  Fields fields(body);
  if (fields.number(1) != 1) damaged("a link of an unknown version");
  const uint64_t flags = fields.number(1);
  const uint64_t kind = (flags & 8) != 0 ? fields.number(1) : 0;
  if ((flags & 4) != 0) fields.skip(8);
  if ((flags & 16) != 0) fields.skip(1);
  const uint64_t length = fields.number(size_t{1} << (flags & 3));
  Hdf5Link link{std::string(fields.take(length)), {}};
  if (kind == 0) link.object = fields.address();
  return link;
}

DenseStorage parse_dense(std::string_view body, size_t index_bytes) {
  Fields fields(body);
  if (fields.number(1) != 0) damaged("links or attributes of an unknown version");
  if ((fields.number(1) & 1) != 0) fields.skip(index_bytes);
  const uint64_t heap = fields.address();
  return {heap, fields.address()};
}

void parse_layout(std::string_view body, Hdf5Dataset& dataset) {
  Fields fields(body);
  const uint64_t version = fields.number(1), kind = fields.number(1);
  if (version < 3 || version > 5) damaged(cat("a layout of version ", version));
  dataset.layout_message = body;
  uint64_t position = kNowhere;
  switch (kind) {
    case 0:
      dataset.layout = Hdf5Dataset::Layout::kCompact;
      break;
    case 1:
      dataset.layout = Hdf5Dataset::Layout::kContiguous;
      position = fields.address();
      break;
    case 2:
      dataset.layout = Hdf5Dataset::Layout::kChunked;
      break;
    case 3:
      dataset.layout = Hdf5Dataset::Layout::kVirtual;
      break;
    default:
      damaged("a layout of an unknown kind");
  }
  if (position != kNowhere) dataset.position = extent(position);
}

}  // namespace mtrain::storage::hdf5
