// Fixed and extensible arrays, the indexes of chunks of the newer format; called to list
// chunks.
//
// A fixed array is a header and a block of addresses. An extensible array begins with an
// index block: the first addresses, then blocks of addresses, then super blocks (lists of
// blocks). Super block s has 2^(s/2) blocks of smallest * 2^((s+1)/2) addresses; the
// first few super blocks have no list of their own, their blocks stand in the index
// block. Where a block has more than a page of addresses, it is stored in pages with a
// checksum each, some of which may be unused.
#include <algorithm>
#include <bit>

#include "hdf5_chunks.hpp"

namespace mtrain::storage::hdf5 {
namespace {

constexpr size_t kAddress = 8, kSum = 4;

/// Kind of elements: chunks without filters, a plain address each.
void expect_plain(Fields& fields) {
  fields.skip(1);  // version
  if (fields.number(1) != 0) damaged("filtered chunks");
}

void visit_addresses(Fields& fields, uint64_t count, const VisitChunk& visit) {
  for (uint64_t i = 0; i < count; ++i) visit(fields.address());
}

bool has_bit(std::string_view bits, uint64_t i) {
  return (static_cast<uint8_t>(bits[i / 8]) & (0x80 >> i % 8)) != 0;
}

/// `count` addresses in a page with its checksum; in a page never used there are none.
void visit_page(Bytes& bytes, uint64_t at, uint64_t count, bool used,
                const VisitChunk& visit) {
  if (!used) return visit(kNowhere);
  const std::string page = bytes.claim(at, count * kAddress + kSum, "page of chunks");
  check_sum(page, "a page of chunks");
  Fields fields(page);
  visit_addresses(fields, count, visit);
}

uint64_t page_size(uint64_t bits) {
  if (bits > 32) damaged("pages of an impossible size");
  return uint64_t{1} << bits;
}

class ExtensibleArray {
 public:
  ExtensibleArray(Bytes& bytes, uint64_t address, uint64_t count, const VisitChunk& visit)
      : bytes_(bytes), visit_(visit), left_(count) {
    constexpr uint64_t kHeader = 72;
    const std::string header = bytes_.claim_checked(address, kHeader, "EAHD");
    Fields fields(header);
    expect_plain(fields);
    if (fields.number(1) != kAddress)
      damaged("an array of other elements than addresses");
    const uint64_t bits = fields.number(1);
    direct_ = fields.number(1);
    smallest_ = fields.number(1);
    const uint64_t pointers = fields.number(1);
    page_ = page_size(fields.number(1));
    fields.skip(6 * 8);
    const uint64_t index = fields.address();
    if (!std::has_single_bit(smallest_) || !std::has_single_bit(pointers) || bits > 64)
      damaged("an impossible array");
    offset_bytes_ = (bits + 7) / 8;
    const uint64_t smallest_bits = static_cast<uint64_t>(std::bit_width(smallest_)) - 1;
    if (bits < smallest_bits) damaged("an impossible array");
    super_blocks_ = 1 + bits - smallest_bits;
    listed_blocks_ = 2 * (pointers - 1);
    listed_super_blocks_ = 2 * (static_cast<uint64_t>(std::bit_width(pointers)) - 1);
    if (listed_super_blocks_ > super_blocks_) damaged("an impossible array");
    if (index != kNowhere) visit_index(index);
  }

 private:
  /// Bits of a super block's pages, and the first of a block; no bits: not in pages.
  struct UsedPages {
    std::string_view bits;
    uint64_t first;
  };

  static uint64_t blocks_of(uint64_t super) { return uint64_t{1} << super / 2; }
  uint64_t block_elements(uint64_t super) const { return smallest_ << (super + 1) / 2; }

  void visit_addresses_of(Fields& fields, uint64_t count) {
    visit_addresses(fields, count, visit_);
    left_ -= std::min(left_, count);
  }

  void visit_index(uint64_t at) {
    const uint64_t supers = super_blocks_ - listed_super_blocks_;
    const uint64_t size =
        4 + 2 + 8 + (direct_ + listed_blocks_ + supers) * kAddress + kSum;
    const std::string block = bytes_.claim_checked(at, size, "EAIB");
    Fields fields(block);
    expect_plain(fields);
    fields.skip(8);
    visit_addresses_of(fields, direct_);
    for (uint64_t super = 0; super < listed_super_blocks_; ++super)
      for (uint64_t i = 0; i < blocks_of(super) && left_ > 0; ++i)
        visit_block(fields.address(), super, {{}, 0});
    for (uint64_t super = listed_super_blocks_; super < super_blocks_ && left_ > 0;
         ++super)
      visit_super_block(fields.address(), super);
  }

  void visit_super_block(uint64_t at, uint64_t super) {
    if (at == kNowhere) return end();
    const uint64_t blocks = blocks_of(super), elements = block_elements(super);
    const uint64_t pages = elements > page_ ? elements / page_ : 0;
    const uint64_t page_bytes = (pages + 7) / 8;
    if (blocks > bytes_.size() || page_bytes > bytes_.size() / blocks)
      damaged("an array larger than the file");
    const uint64_t size =
        4 + 2 + 8 + offset_bytes_ + blocks * (page_bytes + kAddress) + kSum;
    const std::string block = bytes_.claim_checked(at, size, "EASB");
    Fields fields(block);
    expect_plain(fields);
    fields.skip(8 + offset_bytes_);
    const std::string_view used = fields.take(blocks * page_bytes);
    for (uint64_t i = 0; i < blocks && left_ > 0; ++i)
      visit_block(fields.address(), super, {used, i * pages});
  }

  void visit_block(uint64_t at, uint64_t super, const UsedPages& used) {
    if (at == kNowhere) return end();
    const uint64_t elements = block_elements(super);
    const uint64_t head = 4 + 2 + 8 + offset_bytes_;
    const bool paged = !used.bits.empty();  // the index block lists small ones only
    if (elements > bytes_.size()) damaged("an array larger than the file");
    const std::string block =
        bytes_.claim_checked(at, head + (paged ? 0 : elements * kAddress) + kSum, "EADB");
    Fields fields(block);
    expect_plain(fields);
    fields.skip(8 + offset_bytes_);
    if (!paged) return visit_addresses_of(fields, elements);
    const uint64_t stride = page_ * kAddress + kSum;
    for (uint64_t page = 0; page < elements / page_ && left_ > 0; ++page) {
      visit_page(bytes_, at + head + kSum + page * stride, page_,
                 has_bit(used.bits, used.first + page), visit_);
      left_ -= std::min(left_, page_);
    }
  }

  /// What is not stored ends the list of chunks.
  void end() {
    visit_(kNowhere);
    left_ = 0;
  }

  Bytes& bytes_;
  const VisitChunk& visit_;
  uint64_t left_;  ///< chunks still wanted
  uint64_t direct_ = 0, smallest_ = 0, page_ = 0, super_blocks_ = 0;
  uint64_t listed_blocks_ = 0, listed_super_blocks_ = 0;
  size_t offset_bytes_ = 0;
};

}  // namespace

void for_each_in_fixed_array(Bytes& bytes, uint64_t address, const VisitChunk& visit) {
  constexpr uint64_t kHeader = 28;
  const std::string header = bytes.claim_checked(address, kHeader, "FAHD");
  Fields fields(header);
  expect_plain(fields);
  if (fields.number(1) != kAddress) damaged("an array of other elements than addresses");
  const uint64_t page = page_size(fields.number(1)), count = fields.number(8);
  const uint64_t at = fields.address();
  if (at == kNowhere) return;
  if (count > bytes.size()) damaged("an array larger than the file");
  const bool paged = count > page;
  const uint64_t pages = paged ? (count + page - 1) / page : 0, bits = (pages + 7) / 8;
  const uint64_t size = 4 + 2 + 8 + bits + (paged ? 0 : count * kAddress) + kSum;
  const std::string block = bytes.claim_checked(at, size, "FADB");
  Fields inside(block);
  expect_plain(inside);
  inside.skip(8);
  if (!paged) return visit_addresses(inside, count, visit);
  const std::string_view used = inside.take(bits);
  for (uint64_t i = 0; i < pages; ++i)
    visit_page(bytes, at + size + i * (page * kAddress + kSum),
               std::min(page, count - i * page), has_bit(used, i), visit);
}

void for_each_in_extensible_array(Bytes& bytes, uint64_t address, uint64_t count,
                                  const VisitChunk& visit) {
  ExtensibleArray(bytes, address, count, visit);
}

}  // namespace mtrain::storage::hdf5
