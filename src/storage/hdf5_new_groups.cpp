// Trees of version 2 and fractal heaps, in which objects of the newer format keep many
// links or attributes; called for those.
#include <bit>
#include <optional>

#include "hdf5_groups.hpp"

namespace mtrain::storage::hdf5 {
namespace {

constexpr uint64_t kMaxRows = 64;
constexpr uint64_t kMaxDepth = 16;
constexpr uint8_t kLinksByName = 5, kAttributesByName = 8;  // kinds of trees

/// Bytes that hold numbers up to `limit`, as the library counts them.
size_t bytes_for(uint64_t limit) {
  return limit == 0 ? 1 : (static_cast<size_t>(std::bit_width(limit)) - 1) / 8 + 1;
}

uint64_t log2_of(uint64_t value) {
  if (!std::has_single_bit(value)) damaged("a size that is no power of two");
  return static_cast<uint64_t>(std::bit_width(value)) - 1;
}

/// Objects of a heap by their place in its own space of addresses. That is a table of
/// blocks: `width` a row, those of row r > 0 of size start * 2^(r - 1); the first rows
/// are blocks of objects, later ones tables again.
class FractalHeap {
 public:
  FractalHeap(Bytes& bytes, uint64_t address) : bytes_(bytes), address_(address) {
    read_header();
  }

  /// The object of an identifier in a tree. Objects do not share bytes.
  std::string_view object(std::string_view id) {
    Fields fields(id);
    if ((fields.number(1) & 0x30) != 0)
      damaged("a link or attribute is kept apart, which is not supported");
    const uint64_t at = fields.number(offset_bytes_), size = fields.number(length_bytes_);
    const auto after = blocks_.upper_bound(at);
    if (after == blocks_.begin()) damaged("an object outside its heap");
    const auto& [begin, block] = *std::prev(after);
    if (at - begin > block.size() || size > block.size() - (at - begin) || size > left_)
      damaged("an object outside its heap");
    left_ -= size;
    return std::string_view(block).substr(at - begin, size);
  }

 private:
  void read_header() {
    constexpr uint64_t kHeader = 146;
    const std::string header = bytes_.claim_checked(address_, kHeader, "FRHP");
    Fields fields(header);
    fields.skip(3);  // version, size of identifiers
    if (fields.number(2) != 0) damaged("a filtered heap");
    has_sums_ = (fields.number(1) & 2) != 0;
    const uint64_t largest_object = fields.number(4);
    fields.skip(12 * 8);
    width_ = fields.number(2);
    start_ = fields.number(8);
    const uint64_t largest_block = fields.number(8), bits = fields.number(2);
    fields.skip(2);
    const uint64_t root = fields.address(), rows = fields.number(2);
    if (bits > 64 || largest_block < start_ || largest_block > UINT32_MAX)
      damaged("an impossible heap");
    offset_bytes_ = (bits + 7) / 8;
    length_bytes_ = std::min(bytes_for(largest_block), bytes_for(largest_object));
    start_bits_ = log2_of(start_);
    width_bits_ = log2_of(width_);
    direct_rows_ = log2_of(largest_block) - start_bits_ + 2;
    if (root == kNowhere) return;
    if (rows == 0)
      read_block(root, 0, start_);
    else
      read_table(root, 0, rows);
  }

  uint64_t row_size(uint64_t row) const {
    return row == 0 ? start_ : start_ << (row - 1);
  }

  void read_block(uint64_t at, uint64_t begin, uint64_t size) {
    std::string block = bytes_.claim(at, size, "heap");
    Fields fields(block);
    expect_signature(fields, "FHDB");
    fields.skip(1 + 8 + offset_bytes_);
    if (has_sums_) {
      const size_t place = block.size() - fields.left();
      const uint64_t sum = fields.number(4);
      block.replace(place, 4, 4, '\0');
      expect_sum(sum, block, "a heap");
    }
    left_ += size;
    blocks_.emplace(begin, std::move(block));
  }

  /// Each row of tables holds tables of fewer rows, so the depth is bounded.
  void read_table(uint64_t at, uint64_t begin, uint64_t rows) {
    constexpr uint64_t kFrame = 4 + 1 + 8 + 4;
    if (rows > kMaxRows - start_bits_) damaged("a heap of too many rows");
    const uint64_t size = kFrame + offset_bytes_ + rows * width_ * 8;
    const std::string table = bytes_.claim_checked(at, size, "FHIB");
    Fields fields(table);
    fields.skip(1 + 8 + offset_bytes_);
    for (uint64_t row = 0; row < rows; ++row)
      for (uint64_t i = 0; i < width_; ++i, begin += row_size(row)) {
        const uint64_t child = fields.address();
        if (child == kNowhere) continue;
        if (row < direct_rows_)
          read_block(child, begin, row_size(row));
        else if (row < width_bits_)
          damaged("a heap of too many rows");
        else
          read_table(child, begin, row - width_bits_);
      }
  }

  Bytes& bytes_;
  uint64_t address_;
  bool has_sums_ = false;
  size_t offset_bytes_ = 0, length_bytes_ = 0;
  uint64_t width_ = 0, start_ = 0, start_bits_ = 0, width_bits_ = 0, direct_rows_ = 0;
  std::map<uint64_t, std::string> blocks_;
  uint64_t left_ = 0;  ///< bytes not handed out yet
};

/// A tree of version 2. How many bytes a count takes depends on how many records a node
/// of each level can hold.
class RecordTree {
 public:
  using Visit = std::function<void(uint8_t kind, std::string_view record)>;
  RecordTree(Bytes& bytes, uint64_t address) : bytes_(bytes) {
    constexpr uint64_t kHeader = 38;
    const std::string header = bytes_.claim_checked(address, kHeader, "BTHD");
    Fields fields(header);
    fields.skip(1);
    kind_ = static_cast<uint8_t>(fields.number(1));
    const uint64_t node = fields.number(4);
    record_ = fields.number(2);
    depth_ = fields.number(2);
    fields.skip(2);
    root_ = fields.address();
    records_ = fields.number(2);
    if (depth_ > kMaxDepth || record_ == 0 || node <= kPrefix)
      damaged("an impossible tree");
    const uint64_t most = (node - kPrefix) / record_;
    levels_.push_back({most, 0});
    count_bytes_ = bytes_for(most);
    for (uint64_t level = 1; level <= depth_; ++level) add_level(node);
  }
  void for_each(const Visit& visit) const {
    if (root_ != kNowhere && records_ > 0) walk(root_, records_, depth_, visit);
  }

 private:
  static constexpr uint64_t kPrefix = 10;  // with the checksum
  struct Level {
    uint64_t most_below;  ///< records in a subtree
    size_t total_bytes;   ///< of the count of a subtree's records
  };

  void add_level(uint64_t node) {
    const Level& below = levels_.back();
    const uint64_t pointer = pointer_bytes(levels_.size());
    if (node <= kPrefix + pointer) damaged("an impossible tree");
    const uint64_t most = (node - kPrefix - pointer) / (record_ + pointer);
    uint64_t all = 0;
    if (__builtin_mul_overflow(most + 1, below.most_below, &all) ||
        __builtin_add_overflow(all, most, &all))
      damaged("an impossible tree");
    levels_.push_back({all, bytes_for(all)});
  }

  /// Bytes of a pointer to a child in a node of `level`; leaves have no totals.
  uint64_t pointer_bytes(uint64_t level) const {
    return 8 + count_bytes_ + levels_[level - 1].total_bytes;
  }

  void walk(uint64_t address, uint64_t records, uint64_t level,
            const Visit& visit) const {
    const uint64_t pointers = level == 0 ? 0 : (records + 1) * pointer_bytes(level);
    const std::string node = bytes_.claim_checked(
        address, kPrefix + records * record_ + pointers, level == 0 ? "BTLF" : "BTIN");
    Fields fields(node);
    fields.skip(2);
    for (uint64_t i = 0; i < records; ++i) visit(kind_, fields.take(record_));
    if (level == 0) return;
    for (uint64_t i = 0; i <= records; ++i) {
      const uint64_t child = fields.address(), count = fields.number(count_bytes_);
      fields.skip(levels_[level - 1].total_bytes);
      walk(child, count, level - 1, visit);
    }
  }

  Bytes& bytes_;
  uint8_t kind_ = 0;
  uint64_t record_ = 0, depth_ = 0, root_ = kNowhere, records_ = 0;
  size_t count_bytes_ = 0;
  std::vector<Level> levels_;
};

}  // namespace

void for_each_dense(Bytes& bytes, const DenseStorage& storage,
                    const std::function<void(std::string_view body)>& visit) {
  FractalHeap heap(bytes, storage.heap);
  RecordTree(bytes, storage.tree).for_each([&](uint8_t kind, std::string_view record) {
    constexpr size_t kHashBytes = 4, kAttributeIdBytes = 8;
    constexpr uint64_t kIsShared = 2;
    Fields fields(record);
    if (kind == kLinksByName) {
      fields.skip(kHashBytes);
      return visit(heap.object(fields.rest()));
    }
    if (kind != kAttributesByName) damaged("a tree of another kind");
    const std::string_view id = fields.take(kAttributeIdBytes);
    if ((fields.number(1) & kIsShared) != 0)
      damaged("a shared attribute, which is not supported");
    visit(heap.object(id));
  });
}

}  // namespace mtrain::storage::hdf5
