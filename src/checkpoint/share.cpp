// Spreads what several ranks hold alike over them; called before the first save of a run.
#include "mtrain/checkpoint/share.hpp"

#include <algorithm>
#include <map>

#include "box_json.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/base/json.hpp"

namespace mtrain::checkpoint {
namespace {

using parallel::Box;

/// A box is cut so that its parts are no larger than this share of a rank's average load:
/// the largest difference between ranks is about one such part.
constexpr int64_t kPartsPerRank = 16;

struct Holder {
  size_t rank, index;
};

struct Piece {
  std::vector<Holder> holders;
  int64_t dim, first, count;
  int64_t size;
};

/// The first dim along which the box can be cut into contiguous parts.
size_t cut_dim(const Box& box) {
  size_t dim = 0;
  while (dim + 1 < box.extent.size() && box.extent[dim] == 1) ++dim;
  return dim;
}

std::string key_of(const Box& box) {
  return cat(box.tensor, "@", join(box.offset, ","), "+", join(box.extent, ","));
}

/// Appends the parts of a box with several holders; one holder stores it in one piece.
void cut(const Box& box, const std::vector<Holder>& holders, int64_t limit,
         std::vector<Piece>& out) {
  const size_t dim = cut_dim(box);
  const int64_t extent = box.extent.empty() ? 1 : box.extent[dim];
  const int64_t slice = box.size() / extent;
  const int64_t rows =
      holders.size() == 1 ? extent : std::clamp<int64_t>(limit / slice, 1, extent);
  for (int64_t first = 0; first < extent; first += rows) {
    const int64_t count = std::min(rows, extent - first);
    out.push_back({holders, static_cast<int64_t>(dim), first, count, count * slice});
  }
}

std::vector<Piece> pieces_of(const std::vector<std::vector<Box>>& held) {
  std::map<std::string, std::pair<const Box*, std::vector<Holder>>> distinct;
  int64_t total = 0;
  for (size_t rank = 0; rank < held.size(); ++rank)
    for (size_t i = 0; i < held[rank].size(); ++i) {
      const Box& box = held[rank][i];
      auto& [first, holders] = distinct[key_of(box)];
      if (!first) total += box.size();
      first = &box;
      holders.push_back({rank, i});
    }
  const int64_t limit = total / (static_cast<int64_t>(held.size()) * kPartsPerRank);
  std::vector<Piece> pieces;
  for (const auto& [key, entry] : distinct)
    if (entry.first->size() > 0) cut(*entry.first, entry.second, limit, pieces);
  // What has one holder first, then large before small: the small ones even things out.
  std::ranges::stable_sort(pieces, [](const Piece& a, const Piece& b) {
    const bool alone = a.holders.size() == 1, other_alone = b.holders.size() == 1;
    return alone != other_alone ? alone : a.size > b.size;
  });
  return pieces;
}

/// Joins neighbouring parts of the same box, so that a rank stores few pieces.
std::vector<Part> joined(std::vector<Part> parts) {
  std::ranges::sort(parts, [](const Part& a, const Part& b) {
    return std::pair(a.index, a.first) < std::pair(b.index, b.first);
  });
  std::vector<Part> result;
  for (const Part& part : parts) {
    const bool continues = !result.empty() && result.back().index == part.index &&
                           result.back().first + result.back().count == part.first;
    if (continues)
      result.back().count += part.count;
    else
      result.push_back(part);
  }
  return result;
}

}  // namespace

std::vector<std::vector<Part>> share_out(const std::vector<std::vector<Box>>& held) {
  std::vector<std::vector<Part>> parts(held.size());
  std::vector<int64_t> load(held.size(), 0);
  for (const Piece& piece : pieces_of(held)) {
    const Holder& least = *std::ranges::min_element(
        piece.holders,
        [&](const Holder& a, const Holder& b) { return load[a.rank] < load[b.rank]; });
    load[least.rank] += piece.size;
    parts[least.rank].push_back({least.index, piece.dim, piece.first, piece.count});
  }
  for (auto& mine : parts) mine = joined(std::move(mine));
  return parts;
}

Box box_of(const Part& part, const Box& box) {
  if (box.extent.empty()) return box;
  Box result = box;
  const auto dim = static_cast<size_t>(part.dim);
  result.offset[dim] += part.first;
  result.extent[dim] = part.count;
  return result;
}

std::string boxes_text(const std::vector<Box>& boxes) {
  return boxes_to_json(boxes).dump();
}

std::vector<Box> boxes_of_text(const std::string& text) {
  return boxes_from_json(parse_json(text, "boxes of a rank"));
}

}  // namespace mtrain::checkpoint
