// Walks object headers of both versions, with their continuations; called for every
// object.
#include <vector>

#include "hdf5_messages.hpp"

namespace mtrain::storage::hdf5 {
namespace {

constexpr uint8_t kIsShared = 2;  // flag of a message

struct Block {
  uint64_t address, size;
};

struct Walk {
  const Visit& visit;
  std::vector<Block> more;  ///< continuations still to be read

  void message(uint8_t kind, uint8_t flags, std::string_view body) {
    if (kind != kContinuation) return visit(kind, (flags & kIsShared) != 0, body);
    Fields fields(body);
    const uint64_t address = fields.address();
    more.push_back({address, fields.number(8)});
  }

  void old_messages(std::string_view block) {
    Fields fields(block);
    while (fields.left() >= 8) {
      const auto kind = fields.number(2), size = fields.number(2),
                 flags = fields.number(1);
      fields.skip(3);
      const std::string_view body = fields.take(size);
      if (kind <= UINT8_MAX)
        message(static_cast<uint8_t>(kind), static_cast<uint8_t>(flags), body);
    }
  }

  void new_messages(std::string_view block, bool ordered) {
    Fields fields(block);
    const size_t head = ordered ? 6 : 4;
    while (fields.left() >= head) {
      const auto kind = fields.number(1), size = fields.number(2),
                 flags = fields.number(1);
      if (ordered) fields.skip(2);
      message(static_cast<uint8_t>(kind), static_cast<uint8_t>(flags), fields.take(size));
    }
  }
};

void walk_old(Bytes& bytes, uint64_t address, Walk& walk) {
  const std::string prefix = bytes.claim(address, 16, "object header");
  Fields fields(prefix);
  if (fields.number(1) != 1) damaged(cat("no object header at ", address));
  fields.skip(7);
  walk.more.push_back({address + 16, fields.number(4)});
  while (!walk.more.empty()) {
    const Block block = walk.more.back();
    walk.more.pop_back();
    walk.old_messages(bytes.claim(block.address, block.size, "object header"));
  }
}

void walk_new(Bytes& bytes, uint64_t address, Walk& walk) {
  constexpr size_t kSignature = 4, kSum = 4;
  std::string prefix = bytes.peek(address, 6, "object header");
  const auto flags = static_cast<uint8_t>(prefix[5]);
  if (prefix[4] != 2) damaged("an object header of an unknown version");
  const size_t skipped =
      ((flags & 0x20) != 0 ? 16u : 0u) + ((flags & 0x10) != 0 ? 4u : 0u);
  const size_t width = size_t{1} << (flags & 3);
  const size_t head = prefix.size() + skipped + width;
  prefix = bytes.peek(address, head, "object header");
  const uint64_t size =
      Fields(std::string_view(prefix).substr(head - width)).number(width);
  if (size > bytes.size()) damaged("an object header larger than the file");
  const bool ordered = (flags & 4) != 0;
  const auto header = bytes.claim_checked(address, head + size + kSum, "OHDR");
  walk.new_messages(std::string_view(header).substr(head - kSignature), ordered);
  while (!walk.more.empty()) {
    const Block block = walk.more.back();
    walk.more.pop_back();
    walk.new_messages(bytes.claim_checked(block.address, block.size, "OCHK"), ordered);
  }
}

}  // namespace

void for_each_message(Bytes& bytes, uint64_t address, const Visit& visit) {
  Walk walk{visit, {}};
  if (bytes.peek(address, 4, "object header") == "OHDR")
    walk_new(bytes, address, walk);
  else
    walk_old(bytes, address, walk);
}

}  // namespace mtrain::storage::hdf5
