// Finds the chunks of a one-dimensional dataset.
#pragma once

#include "hdf5_messages.hpp"

namespace mtrain::storage::hdf5 {

/// What a layout message says of chunks.
struct Chunking {
  uint64_t elements = 0;  ///< of a chunk
  uint64_t bytes = 0;     ///< of a chunk
  uint64_t index = kNowhere;
  enum class Kind { kTree, kSingle, kImplicit, kFixedArray, kExtensibleArray } kind{};
};
/// damaged() for chunks of other than one dimension, or of more bytes than the file.
Chunking parse_chunking(std::string_view layout_message, uint64_t element_bytes);

/// Positions of the first `count` chunks that are stored, in order; it ends before the
/// first that is not.
std::vector<int64_t> chunk_positions(Bytes& bytes, const Chunking& chunking,
                                     uint64_t count);

/// Parts of chunk_positions: calls visit(position or kNowhere) for chunks 0, 1, ...
using VisitChunk = std::function<void(uint64_t position)>;
void for_each_in_fixed_array(Bytes& bytes, uint64_t address, const VisitChunk& visit);
/// Visits `count` of them at most.
void for_each_in_extensible_array(Bytes& bytes, uint64_t address, uint64_t count,
                                  const VisitChunk& visit);

}  // namespace mtrain::storage::hdf5
