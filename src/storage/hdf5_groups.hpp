// Lists links and attributes that an object header does not hold itself.
#pragma once

#include "hdf5_messages.hpp"

namespace mtrain::storage::hdf5 {

/// Links of a group of the old format: a tree of symbol tables, names in a local heap.
std::vector<Hdf5Link> symbol_table_links(Bytes& bytes, std::string_view message);

/// The messages (links or attributes) in a fractal heap that a tree of version 2 lists.
void for_each_dense(Bytes& bytes, const DenseStorage& storage,
                    const std::function<void(std::string_view body)>& visit);

/// Calls visit(address of a node's child, key before it) over the leaves of a tree of
/// version 1; `kind` 0 for groups, 1 for chunks.
void for_each_leaf_entry(Bytes& bytes, uint64_t root, uint8_t kind, size_t key_bytes,
                         const std::function<void(uint64_t, std::string_view)>& visit);

/// Objects of one collection of the global heap, where long texts are kept, by number. It
/// has no checksum: all of it must be as the library writes it.
using Collection = std::map<uint64_t, std::string>;
Collection read_collection(Bytes& bytes, uint64_t address);

}  // namespace mtrain::storage::hdf5
