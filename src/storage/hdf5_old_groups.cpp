// Trees of version 1, the groups made of them, and the global heap: the structures
// without checksums. Called for objects of the old format and for long texts.
#include <optional>

#include "hdf5_groups.hpp"

namespace mtrain::storage::hdf5 {
namespace {

struct Tree {
  Bytes& bytes;
  uint8_t kind;
  size_t key_bytes;
  const std::function<void(uint64_t, std::string_view)>& visit;

  /// Levels fall by one on the way down, so the depth is bounded.
  void walk(uint64_t address, std::optional<uint64_t> due_level) const {
    constexpr size_t kPrefix = 24;
    const std::string prefix = bytes.claim(address, kPrefix, "tree");
    Fields head(prefix);
    expect_signature(head, "TREE");
    if (head.number(1) != kind) damaged("a tree of another kind");
    const uint64_t level = head.number(1), entries = head.number(2);
    if (due_level && level != *due_level) damaged("a tree with a wrong level");
    const uint64_t size = entries * (key_bytes + 8) + key_bytes;
    const std::string node = bytes.claim(address + kPrefix, size, "tree");
    Fields fields(node);
    for (uint64_t i = 0; i < entries; ++i) {
      const std::string_view key = fields.take(key_bytes);
      const uint64_t child = fields.address();
      if (level == 0)
        visit(child, key);
      else
        walk(child, level - 1);
    }
  }
};

class LocalHeap {
 public:
  LocalHeap(Bytes& bytes, uint64_t address) {
    const std::string prefix = bytes.claim(address, 32, "local heap");
    Fields fields(prefix);
    expect_signature(fields, "HEAP");
    fields.skip(4);
    const uint64_t size = fields.number(8);
    fields.skip(8);
    data_ = bytes.claim(fields.address(), size, "local heap");
    left_ = size;
  }

  /// Names do not share bytes, so together they are no longer than the heap.
  std::string name(uint64_t at) {
    const size_t end = at < data_.size() ? data_.find('\0', at) : std::string::npos;
    if (end == std::string::npos || end + 1 - at > left_)
      damaged("a name without an end");
    left_ -= end + 1 - at;
    return data_.substr(at, end - at);
  }

 private:
  std::string data_;
  uint64_t left_ = 0;
};

void add_symbols(Bytes& bytes, uint64_t address, LocalHeap& names,
                 std::vector<Hdf5Link>& links) {
  constexpr size_t kPrefix = 8, kEntry = 40;
  constexpr uint64_t kSoftLink = 2;
  const std::string prefix = bytes.claim(address, kPrefix, "symbol table");
  Fields head(prefix);
  expect_signature(head, "SNOD");
  head.skip(2);
  const uint64_t entries = head.number(2);
  const std::string node =
      bytes.claim(address + kPrefix, entries * kEntry, "symbol table");
  Fields fields(node);
  for (uint64_t i = 0; i < entries; ++i) {
    Hdf5Link link{names.name(fields.number(8)), {}};
    const uint64_t object = fields.address();
    if (fields.number(4) != kSoftLink && object != kNowhere) link.object = object;
    fields.skip(20);
    links.push_back(std::move(link));
  }
}

}  // namespace

void for_each_leaf_entry(Bytes& bytes, uint64_t root, uint8_t kind, size_t key_bytes,
                         const std::function<void(uint64_t, std::string_view)>& visit) {
  Tree{bytes, kind, key_bytes, visit}.walk(root, std::nullopt);
}

Collection read_collection(Bytes& bytes, uint64_t address) {
  constexpr uint64_t kHead = 16;
  const std::string head = bytes.peek(address, kHead, "global heap");
  Fields prefix(head);
  expect_signature(prefix, "GCOL");
  if (prefix.number(4) != 1) damaged("a global heap of an unknown version");
  const std::string all = bytes.claim(address, prefix.number(8), "global heap");
  Fields fields(all);
  fields.skip(kHead);
  Collection objects;
  while (fields.left() >= kHead) {
    const size_t rest = fields.left();
    const uint64_t index = fields.number(2);
    fields.skip(2);  // references, which the library counts and does not need
    if (fields.number(4) != 0) damaged("a global heap with odd objects");
    const uint64_t size = fields.number(8);
    if (index == 0) {  // free space, to the end
      if (size != rest) damaged("a global heap with odd free space");
      break;
    }
    if (!objects.emplace(index, fields.take(size)).second)
      damaged("a global heap with two objects of one number");
    fields.skip((8 - size % 8) % 8);
  }
  return objects;
}

std::vector<Hdf5Link> symbol_table_links(Bytes& bytes, std::string_view message) {
  Fields fields(message);
  const uint64_t tree = fields.address();
  LocalHeap names(bytes, fields.address());
  std::vector<Hdf5Link> links;
  for_each_leaf_entry(bytes, tree, 0, 8, [&](uint64_t child, std::string_view) {
    add_symbols(bytes, child, names, links);
  });
  return links;
}

}  // namespace mtrain::storage::hdf5
