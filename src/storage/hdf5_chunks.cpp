// Reads the layout of chunks and lists where they are; called when a column is opened.
#include "hdf5_chunks.hpp"

#include <algorithm>

#include "hdf5_groups.hpp"

namespace mtrain::storage::hdf5 {
namespace {

using Kind = Chunking::Kind;

Kind kind_of(uint64_t number) {
  if (number < 1 || number > 4) damaged(cat("an index of chunks of kind ", number));
  return static_cast<Kind>(number);
}

/// Dimensions are those of the dataset and, last, the size of an element.
void read_dimensions(Fields& fields, uint64_t dimensions, size_t width,
                     uint64_t element_bytes, Chunking& chunking) {
  if (dimensions != 2) damaged("chunks of another number of dimensions than the dataset");
  chunking.elements = fields.number(width);
  if (chunking.elements == 0 || fields.number(width) != element_bytes ||
      __builtin_mul_overflow(chunking.elements, element_bytes, &chunking.bytes) ||
      chunking.bytes > INT64_MAX)
    damaged("chunks of an impossible size");
}

/// Keys are sizes, then the place of the chunk and a zero for the element.
std::vector<int64_t> positions_in_tree(Bytes& bytes, const Chunking& chunking) {
  constexpr size_t kKey = 8 + 2 * 8;
  std::vector<int64_t> positions;
  for_each_leaf_entry(
      bytes, chunking.index, 1, kKey, [&](uint64_t child, std::string_view key) {
        Fields fields(key);
        fields.skip(8);
        if (fields.number(8) != positions.size() * chunking.elements || child > INT64_MAX)
          damaged("chunks that are not in order");
        positions.push_back(static_cast<int64_t>(child));
      });
  return positions;
}

std::vector<int64_t> implicit_positions(const Bytes& bytes, const Chunking& chunking,
                                        uint64_t count) {
  if (chunking.index > bytes.size() ||
      count > (bytes.size() - chunking.index) / chunking.bytes)
    damaged("chunks outside the file");
  std::vector<int64_t> positions;
  for (uint64_t i = 0; i < count; ++i)
    positions.push_back(static_cast<int64_t>(chunking.index + i * chunking.bytes));
  return positions;
}

/// Every chunk lies inside the file and apart from the others.
void check_places(const Bytes& bytes, const Chunking& chunking,
                  std::vector<int64_t> positions) {
  std::sort(positions.begin(), positions.end());
  auto end = static_cast<int64_t>(bytes.size());
  for (size_t i = positions.size(); i-- > 0; end = positions[i])
    if (positions[i] > end || end - positions[i] < static_cast<int64_t>(chunking.bytes))
      damaged("a chunk that overlaps another or lies outside the file");
}

}  // namespace

Chunking parse_chunking(std::string_view layout_message, uint64_t element_bytes) {
  Fields fields(layout_message);
  Chunking chunking;
  const uint64_t version = fields.number(1);
  fields.skip(1);
  if (version == 3) {
    const uint64_t dimensions = fields.number(1);
    chunking.index = fields.address();
    chunking.kind = Kind::kTree;
    read_dimensions(fields, dimensions, 4, element_bytes, chunking);
    return chunking;
  }
  fields.skip(1);  // flags, of filtered chunks
  const uint64_t dimensions = fields.number(1), width = fields.number(1);
  if (width < 1 || width > 8) damaged("chunks of an impossible size");
  read_dimensions(fields, dimensions, width, element_bytes, chunking);
  chunking.kind = kind_of(fields.number(1));
  if (chunking.kind == Kind::kFixedArray) fields.skip(1);
  if (chunking.kind == Kind::kExtensibleArray) fields.skip(5);
  chunking.index = fields.address();
  return chunking;
}

std::vector<int64_t> chunk_positions(Bytes& bytes, const Chunking& chunking,
                                     uint64_t count) {
  std::vector<int64_t> positions;
  bool ended = false;
  const VisitChunk add = [&](uint64_t position) {
    if (position == kNowhere || positions.size() == count) ended = true;
    if (ended) return;
    if (position > INT64_MAX) damaged("a chunk outside the file");
    positions.push_back(static_cast<int64_t>(position));
  };
  if (chunking.index == kNowhere || count == 0) return positions;
  switch (chunking.kind) {
    case Kind::kTree:
      positions = positions_in_tree(bytes, chunking);
      break;
    case Kind::kSingle:
      add(chunking.index);
      break;
    case Kind::kImplicit:
      positions = implicit_positions(bytes, chunking, count);
      break;
    case Kind::kFixedArray:
      for_each_in_fixed_array(bytes, chunking.index, add);
      break;
    case Kind::kExtensibleArray:
      for_each_in_extensible_array(bytes, chunking.index, count, add);
      break;
  }
  check_places(bytes, chunking, positions);
  return positions;
}

}  // namespace mtrain::storage::hdf5
