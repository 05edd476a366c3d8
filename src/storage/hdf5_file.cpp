// Opens HDF5 files and puts objects together from their messages; called for token stores
// and rank files.
#include "mtrain/storage/hdf5_file.hpp"

#include <algorithm>

#include "hdf5_chunks.hpp"
#include "hdf5_groups.hpp"
#include "hdf5_messages.hpp"

namespace mtrain::storage {

using hdf5::Bytes;
using hdf5::damaged;
using hdf5::Fields;
using hdf5::kNowhere;

namespace {

constexpr std::string_view kSignature("\x89HDF\r\n\x1a\n", 8);
constexpr uint64_t kFieldBytes = 8;  // of addresses and lengths
constexpr int64_t kMaxIntegers = 64;
constexpr uint64_t kMaxText = 1 << 16;

[[noreturn]] void unsupported(const std::string& what) {
  throw Error(cat("an HDF5 file with ", what, ", which is not read"));
}

void expect_field_sizes(Fields& fields) {
  const uint64_t addresses = fields.number(1), lengths = fields.number(1);
  if (addresses != kFieldBytes || lengths != kFieldBytes)
    unsupported(cat("addresses of ", addresses, " bytes"));
}

/// Addresses before the end of the file: the base must be the file's first byte.
void expect_no_base(Fields& fields) {
  if (fields.address() != 0) unsupported("a base address");
}

void expect_whole(uint64_t end, const Bytes& bytes) {
  if (end > bytes.size())
    throw Error(cat("truncated HDF5 file: it has ", bytes.size(), " of ", end, " bytes"));
}

/// The address of the root group's object header, from a superblock of version 0 or 1.
uint64_t old_root(Bytes& bytes, uint64_t version) {
  const std::string block = bytes.claim(0, version == 0 ? 96 : 100, "superblock");
  Fields fields(block);
  fields.skip(13);
  expect_field_sizes(fields);
  fields.skip(version == 0 ? 9 : 13);
  expect_no_base(fields);
  fields.skip(8);  // free space
  expect_whole(fields.address(), bytes);
  if (fields.address() != kNowhere) unsupported("a driver of its own");
  fields.skip(8);  // name of the root
  return fields.address();
}

/// The same from a superblock of version 2 or 3.
uint64_t new_root(Bytes& bytes, uint64_t version) {
  constexpr uint64_t kOpenToWrite = 1 | 4;
  const std::string block = bytes.claim(0, 48, "superblock");
  hdf5::check_sum(block, "the superblock");
  Fields fields(block);
  fields.skip(9);
  expect_field_sizes(fields);
  const uint64_t flags = fields.number(1);
  if (version == 3 && (flags & kOpenToWrite) != 0)
    throw Error("an HDF5 file that its writer never closed");
  expect_no_base(fields);
  fields.skip(8);  // extension
  expect_whole(fields.address(), bytes);
  return fields.address();
}

uint64_t root_of(Bytes& bytes) {
  if (bytes.size() < kSignature.size() + 1 ||
      bytes.peek(0, kSignature.size(), "signature") != kSignature)
    throw Error("not an HDF5 file");
  const std::string number = bytes.peek(kSignature.size(), 1, "superblock");
  const uint64_t version = Fields(number).number(1);
  if (version > 3) unsupported(cat("a superblock of version ", version));
  return version < 2 ? old_root(bytes, version) : new_root(bytes, version);
}

/// Collects what the messages of one header say.
class ObjectReader {
 public:
  explicit ObjectReader(Bytes& bytes) : bytes_(bytes) {}

  Hdf5Object read(uint64_t address) {
    hdf5::for_each_message(bytes_, address,
                           [&](uint8_t kind, bool shared, std::string_view body) {
                             take(kind, shared, body);
                           });
    add_dense();
    finish_links();
    if (has_layout_ && has_space_) object_.dataset = std::move(dataset_);
    return std::move(object_);
  }

 private:
  void take(uint8_t kind, bool shared, std::string_view body) {
    if (shared) return take_shared(kind);
    switch (kind) {
      case hdf5::kDataspace:
        return take_space(body);
      case hdf5::kDatatype:
        dataset_.type = hdf5::parse_type(body);
        break;
      case hdf5::kExternalFiles:
        dataset_.is_external = true;
        break;
      case hdf5::kFilters:
        dataset_.is_filtered = true;
        break;
      case hdf5::kLayout:
        hdf5::parse_layout(body, dataset_);
        has_layout_ = true;
        break;
      case hdf5::kAttribute:
        add_attribute(body);
        break;
      case hdf5::kAttributeInfo:
        attributes_ = hdf5::parse_dense(body, 2);
        break;
      case hdf5::kLink:
        links().push_back(hdf5::parse_link(body));
        break;
      case hdf5::kLinkInfo:
        links();
        links_ = hdf5::parse_dense(body, 8);
        break;
      case hdf5::kSymbolTable:
        links() = hdf5::symbol_table_links(bytes_, body);
        break;
      default:
        break;
    }
  }

  /// A datatype kept elsewhere is one this reader does not know; others are refused.
  static void take_shared(uint8_t kind) {
    if (kind == hdf5::kDataspace || kind == hdf5::kAttribute || kind == hdf5::kLayout)
      unsupported("shared messages");
  }

  void take_space(std::string_view body) {
    hdf5::Space space = hdf5::parse_space(body);
    if (space.is_null) return;
    dataset_.extents = std::move(space.extents);
    dataset_.can_grow = space.can_grow;
    has_space_ = true;
  }

  void add_attribute(std::string_view body) {
    hdf5::NamedAttribute named = hdf5::parse_attribute(body);
    if (!object_.attributes.emplace(named.name, std::move(named.attribute)).second)
      damaged("two attributes of one name");
  }

  void add_dense() {
    if (links_.heap != kNowhere)
      hdf5::for_each_dense(bytes_, links_, [&](std::string_view body) {
        links().push_back(hdf5::parse_link(body));
      });
    if (attributes_.heap != kNowhere)
      hdf5::for_each_dense(bytes_, attributes_,
                           [&](std::string_view body) { add_attribute(body); });
  }

  void finish_links() {
    if (!object_.links) return;
    auto& all = *object_.links;
    std::sort(all.begin(), all.end(),
              [](const Hdf5Link& a, const Hdf5Link& b) { return a.name < b.name; });
    const auto same = [](const Hdf5Link& a, const Hdf5Link& b) {
      return a.name == b.name;
    };
    if (std::adjacent_find(all.begin(), all.end(), same) != all.end())
      damaged("two links of one name");
  }

  std::vector<Hdf5Link>& links() {
    return object_.links ? *object_.links : object_.links.emplace();
  }

  Bytes& bytes_;
  Hdf5Object object_;
  Hdf5Dataset dataset_;
  bool has_layout_ = false, has_space_ = false;
  hdf5::DenseStorage links_, attributes_;
};

int64_t signed_value(std::string_view bytes, const Hdf5Type& type) {
  std::string ordered(bytes);
  if (type.is_big_endian) std::reverse(ordered.begin(), ordered.end());
  const uint64_t value = Fields(ordered).number(ordered.size());
  const auto unused = static_cast<int>(64 - 8 * ordered.size());
  if (type.is_signed) return static_cast<int64_t>(value << unused) >> unused;
  if (value > INT64_MAX) throw Error("an integer beyond 2^63 - 1");
  return static_cast<int64_t>(value);
}

}  // namespace

struct Hdf5File::State {
  State(int64_t size, ReadAt read) : bytes(size, std::move(read)), root(root_of(bytes)) {}

  const Hdf5Object& object(uint64_t address) {
    const auto known = objects.find(address);
    if (known != objects.end()) return known->second;
    return objects.emplace(address, ObjectReader(bytes).read(address)).first->second;
  }

  /// Object `index` of a collection of the global heap.
  std::string heap_object(uint64_t address, uint64_t index);

  Bytes bytes;
  uint64_t root;
  std::map<uint64_t, Hdf5Object> objects;
  std::map<uint64_t, hdf5::Collection> collections;
};

std::string Hdf5File::State::heap_object(uint64_t address, uint64_t index) {
  auto known = collections.find(address);
  if (known == collections.end())
    known = collections.emplace(address, hdf5::read_collection(bytes, address)).first;
  const auto object = known->second.find(index);
  if (object == known->second.end()) damaged("a text that is not in its heap");
  return object->second;
}

Hdf5File::Hdf5File(int64_t size, ReadAt read)
    : state_(std::make_unique<State>(size, std::move(read))) {}
Hdf5File::~Hdf5File() = default;
Hdf5File::Hdf5File(Hdf5File&&) noexcept = default;
Hdf5File& Hdf5File::operator=(Hdf5File&&) noexcept = default;

const Hdf5Object& Hdf5File::root() {
  return state_->object(state_->root);
}

const Hdf5Object& Hdf5File::object(const Hdf5Link& link) {
  MT_CHECK(link.object.has_value(), link.name, " is no hard link");
  return state_->object(*link.object);
}

std::vector<int64_t> Hdf5File::integers(const Hdf5Attribute& attribute) const {
  const Hdf5Type& type = attribute.type;
  if (type.kind != Hdf5Type::Kind::kInteger || attribute.count > kMaxIntegers)
    throw Error("no short list of integers");
  std::vector<int64_t> values;
  Fields fields(attribute.bytes);
  for (int64_t i = 0; i < attribute.count; ++i)
    values.push_back(signed_value(fields.take(static_cast<uint64_t>(type.bytes)), type));
  return values;
}

std::string Hdf5File::text(const Hdf5Attribute& attribute) {
  const auto kind = attribute.type.kind;
  const bool in_heap = kind == Hdf5Type::Kind::kLongText;
  if ((kind != Hdf5Type::Kind::kText && !in_heap) || attribute.count != 1)
    throw Error("not a string");
  std::string bytes = attribute.bytes;
  if (in_heap) {
    Fields fields(attribute.bytes);
    const uint64_t size = fields.number(4), address = fields.address();
    bytes = address == kNowhere || size == 0
                ? std::string()
                : state_->heap_object(address, fields.number(4));
    if (size > bytes.size()) damaged("a text longer than its place in the heap");
    bytes.resize(size);
  }
  if (bytes.size() > kMaxText) throw Error("too long a string");
  return bytes.substr(0, bytes.find('\0'));
}

Hdf5Column Hdf5File::column(const Hdf5Dataset& dataset) {
  MT_CHECK(dataset.extents.size() == 1, "a column has one dimension");
  Hdf5Column column;
  column.size = column.chunk = dataset.extents[0];
  column.element_bytes = dataset.type.bytes;
  if (dataset.layout == Hdf5Dataset::Layout::kContiguous) {
    int64_t bytes = 0;
    const int64_t all = static_cast<int64_t>(state_->bytes.size());
    if (!dataset.position ||
        __builtin_mul_overflow(column.size, column.element_bytes, &bytes) ||
        *dataset.position > all || bytes > all - *dataset.position)
      return column;
    column.stored = bytes;
    column.positions = {*dataset.position};
    return column;
  }
  MT_CHECK(dataset.layout == Hdf5Dataset::Layout::kChunked, "no storage of columns");
  const auto chunking = hdf5::parse_chunking(dataset.layout_message,
                                             static_cast<uint64_t>(dataset.type.bytes));
  column.chunk = static_cast<int64_t>(chunking.elements);
  const int64_t chunks = column.size / column.chunk + (column.size % column.chunk != 0);
  column.positions =
      hdf5::chunk_positions(state_->bytes, chunking, static_cast<uint64_t>(chunks));
  column.stored = static_cast<int64_t>(column.positions.size() * chunking.bytes);
  return column;
}

}  // namespace mtrain::storage
