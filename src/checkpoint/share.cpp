// Spreads what several ranks hold alike over them; called before the first save of a run.
#include "mtrain/checkpoint/share.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "box_json.hpp"
#include "coverage.hpp"
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

/// A rectangle and all ranks that hold it.
struct Piece {
  Box box;
  std::vector<Holder> holders;
};

/// Adds what `holder` holds to disjoint pieces of the same tensor.
void add(const Box& box, Holder holder, std::vector<Piece>& pieces) {
  const size_t known = pieces.size();
  std::vector<Box> others;
  for (size_t i = 0; i < known; ++i) {
    const auto common = parallel::intersect(pieces[i].box, box);
    if (!common) continue;
    others.push_back(*common);
    for (Box& outside : uncovered(pieces[i].box, {box}))
      pieces.push_back({std::move(outside), pieces[i].holders});
    pieces[i].box = *common;
    pieces[i].holders.push_back(holder);
  }
  for (Box& alone : uncovered(box, others))
    pieces.push_back({std::move(alone), {holder}});
}

/// The first dim along which the box can be cut into parts that are contiguous in it.
size_t cut_dim(const Box& box) {
  size_t dim = 0;
  while (dim + 1 < box.extent.size() && box.extent[dim] == 1) ++dim;
  return dim;
}

/// Appends the parts of a piece with several holders; one holder stores it in one part.
void cut(const Piece& piece, int64_t limit, std::vector<Piece>& out) {
  const Box& box = piece.box;
  if (box.extent.empty() || piece.holders.size() == 1) return out.push_back(piece);
  const size_t dim = cut_dim(box);
  const int64_t extent = box.extent[dim];
  const int64_t rows = std::clamp<int64_t>(limit / (box.size() / extent), 1, extent);
  for (int64_t first = 0; first < extent; first += rows) {
    out.push_back(piece);
    out.back().box.offset[dim] += first;
    out.back().box.extent[dim] = std::min(rows, extent - first);
  }
}

std::vector<Piece> pieces_of(const std::vector<std::vector<Box>>& held) {
  std::map<std::string, std::vector<Piece>> tensors;
  for (size_t rank = 0; rank < held.size(); ++rank)
    for (size_t i = 0; i < held[rank].size(); ++i)
      add(held[rank][i], {rank, i}, tensors[held[rank][i].tensor]);
  int64_t total = 0;
  for (const auto& [name, distinct] : tensors)
    for (const Piece& piece : distinct) total += piece.box.size();
  const int64_t limit = total / (static_cast<int64_t>(held.size()) * kPartsPerRank);
  std::vector<Piece> pieces;
  for (const auto& [name, distinct] : tensors)
    for (const Piece& piece : distinct) cut(piece, limit, pieces);
  // What has one holder first, then large before small: the small ones even things out.
  std::ranges::stable_sort(pieces, [](const Piece& a, const Piece& b) {
    const bool alone = a.holders.size() == 1, other_alone = b.holders.size() == 1;
    return alone != other_alone ? alone : a.box.size() > b.box.size();
  });
  return pieces;
}

/// True where `next` lies behind `box` along one dim and is alike along the others.
bool continues(const Box& box, const Box& next) {
  if (box.tensor != next.tensor || box.extent.empty()) return false;
  const size_t dim = cut_dim(box);
  Box shifted = box;
  shifted.offset[dim] += box.extent[dim];
  shifted.extent[dim] = next.extent[dim];
  return shifted == next;
}

/// Joins neighbouring parts of the same box, so that a rank stores few of them.
std::vector<Part> joined(std::vector<Part> parts) {
  std::ranges::sort(parts, [](const Part& a, const Part& b) {
    return std::tie(a.index, a.box.offset) < std::tie(b.index, b.box.offset);
  });
  std::vector<Part> result;
  for (const Part& part : parts) {
    if (!result.empty() && result.back().index == part.index &&
        continues(result.back().box, part.box)) {
      const size_t dim = cut_dim(result.back().box);
      result.back().box.extent[dim] += part.box.extent[dim];
    } else {
      result.push_back(part);
    }
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
    load[least.rank] += piece.box.size();
    parts[least.rank].push_back({least.index, piece.box});
  }
  for (auto& mine : parts) mine = joined(std::move(mine));
  return parts;
}

at::Tensor view_of(const Box& part, const Box& box, const at::Tensor& data) {
  at::Tensor view = data;
  for (size_t d = 0; d < box.extent.size(); ++d)
    view = view.narrow(static_cast<int64_t>(d), part.offset[d] - box.offset[d],
                       part.extent[d]);
  return view;
}

std::string boxes_text(const std::vector<Box>& boxes) {
  return boxes_to_json(boxes).dump();
}

std::vector<Box> boxes_of_text(const std::string& text) {
  return boxes_from_json(parse_json(text, "boxes of a rank"));
}

}  // namespace mtrain::checkpoint
