// Splits boxes into contiguous runs and moves them; called by every tensor source and
// writer.
#include "box_copy.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include "mtrain/base/error.hpp"

namespace mtrain::checkpoint {
namespace {

constexpr int64_t kDirectBytes = 64 << 10;  // runs from this size are read on their own
constexpr int64_t kWindowBytes = 256
                                 << 10;  // shorter ones are gathered from such windows
constexpr int64_t kGapBytes = 4 << 10;   // a page between runs costs less than a call

/// Reads short runs of ascending positions with few calls.
class WindowReader {
 public:
  WindowReader(const File& file, int64_t end) : file_(file), end_(end) {}

  /// `stride`: distance to the position of the next run, to judge whether reading ahead
  /// pays.
  void read(int64_t position, char* out, int64_t count, int64_t stride) {
    const bool ahead = count < kDirectBytes && stride - count <= kGapBytes;
    if (!ahead) return file_.read_at(position, out, static_cast<size_t>(count));
    if (position < begin_ || position + count > begin_ + size()) fill(position, count);
    std::memcpy(out, window_.data() + (position - begin_), static_cast<size_t>(count));
  }

 private:
  int64_t size() const { return static_cast<int64_t>(window_.size()); }
  void fill(int64_t position, int64_t count) {
    const int64_t bytes = std::max(count, std::min(kWindowBytes, end_ - position));
    window_.resize(static_cast<size_t>(bytes));
    begin_ = position;
    file_.read_at(position, window_.data(), window_.size());
  }

  const File& file_;
  int64_t end_;
  int64_t begin_ = 0;
  std::vector<char> window_;
};

/// Flat index of a region's first element.
int64_t first_element(const Region& region) {
  int64_t index = 0;
  for (size_t d = 0; d < region.shape.size(); ++d)
    index = index * region.shape[d] + region.offset[d];
  return index;
}

/// Elements between neighbours along each dim.
std::vector<int64_t> strides_of(const parallel::Shape& shape) {
  std::vector<int64_t> strides(shape.size(), 1);
  for (size_t d = shape.size(); d-- > 1;) strides[d - 1] = strides[d] * shape[d];
  return strides;
}

/// Number of leading dims to iterate; the rest form one run in both arrays.
size_t outer_dims(const Region& from, const Region& to) {
  size_t d = from.extent.size();
  if (d == 0) return 0;
  for (--d; d > 0; --d)
    if (from.extent[d] != from.shape[d] || to.extent[d] != to.shape[d]) break;
  return d;
}

}  // namespace

void for_each_run(const Region& from, const Region& to,
                  const std::function<void(int64_t, int64_t, int64_t)>& visit) {
  MT_CHECK(from.extent == to.extent, "regions of different extents");
  if (parallel::numel(from.extent) == 0) return;
  const size_t outer = outer_dims(from, to);
  int64_t run = 1;
  for (size_t d = outer; d < from.extent.size(); ++d) run *= from.extent[d];
  const auto from_strides = strides_of(from.shape), to_strides = strides_of(to.shape);
  int64_t source = first_element(from), target = first_element(to);
  std::vector<int64_t> index(outer, 0);
  while (true) {
    visit(source, target, run);
    size_t d = outer;
    for (; d > 0; --d) {  // the next index, like an odometer
      source += from_strides[d - 1];
      target += to_strides[d - 1];
      if (++index[d - 1] < from.extent[d - 1]) break;
      source -= index[d - 1] * from_strides[d - 1];
      target -= index[d - 1] * to_strides[d - 1];
      index[d - 1] = 0;
    }
    if (d == 0) return;
  }
}

bool is_inside(const parallel::Box& box) {
  if (box.offset.size() != box.full.size() || box.extent.size() != box.full.size())
    return false;
  for (size_t d = 0; d < box.full.size(); ++d)
    if (box.offset[d] < 0 || box.extent[d] < 0 || box.extent[d] > box.full[d] ||
        box.offset[d] > box.full[d] - box.extent[d])
      return false;
  return true;
}

Region region_of(const parallel::Box& part, const parallel::Box& array) {
  Region region{array.extent, part.offset, part.extent};
  for (size_t d = 0; d < region.offset.size(); ++d) region.offset[d] -= array.offset[d];
  return region;
}

void copy_box(const parallel::Box& part, const parallel::Box& from, const void* from_data,
              const parallel::Box& to, void* to_data, int64_t element_size) {
  const auto* source = static_cast<const char*>(from_data);
  auto* target = static_cast<char*>(to_data);
  for_each_run(region_of(part, from), region_of(part, to),
               [&](int64_t at, int64_t out, int64_t count) {
                 std::memcpy(target + out * element_size, source + at * element_size,
                             static_cast<size_t>(count * element_size));
               });
}

void read_box(const parallel::Box& part, const parallel::Box& from, const File& file,
              int64_t position, const parallel::Box& to, void* to_data,
              int64_t element_size) {
  const Region source = region_of(part, from);
  auto* target = static_cast<char*>(to_data);
  // The last byte of the part, so that the window never reads beyond it.
  Region last = source;
  for (size_t d = 0; d < last.offset.size(); ++d) last.offset[d] += last.extent[d] - 1;
  WindowReader reader(file, position + (first_element(last) + 1) * element_size);
  const int64_t row = source.shape.empty() ? 1 : source.shape.back();
  for_each_run(source, region_of(part, to), [&](int64_t at, int64_t out, int64_t count) {
    reader.read(position + at * element_size, target + out * element_size,
                count * element_size, std::max(row, count) * element_size);
  });
}

void write_box(const parallel::Box& part, const parallel::Box& from,
               const void* from_data, const parallel::Box& to, const File& file,
               int64_t position, int64_t element_size) {
  const auto* source = static_cast<const char*>(from_data);
  for_each_run(region_of(part, from), region_of(part, to),
               [&](int64_t at, int64_t out, int64_t count) {
                 file.write_at(position + out * element_size, source + at * element_size,
                               static_cast<size_t>(count * element_size));
               });
}

}  // namespace mtrain::checkpoint
