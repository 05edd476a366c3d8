// Assembles any box from what the ranks stored; CheckpointReader hands these sources out.
#include "group_source.hpp"

#include <ATen/ATen.h>

#include "box_copy.hpp"
#include "coverage.hpp"
#include "mtrain/base/error.hpp"

namespace mtrain::checkpoint {

using parallel::Box;

namespace {

constexpr size_t kMaxOpenFiles = 64;

}  // namespace

const OpenRankFile& FileCache::open(size_t index) {
  const auto found = open_.find(index);
  if (found != open_.end()) return found->second;
  if (open_.size() >= kMaxOpenFiles) open_.clear();
  return open_.try_emplace(index, folder_, files_[index]).first->second;
}

void GroupSource::add(size_t file, const StoredBox& stored) {
  auto& pieces = stored_[stored.box.tensor];
  if (pieces.empty()) {
    infos_[stored.box.tensor] = {stored.box.tensor, stored.box.full, stored.dtype};
  } else if (pieces[0].stored->box.full != stored.box.full ||
             pieces[0].stored->dtype != stored.dtype) {
    throw UserError(cat(folder_, ": tensor \"", stored.box.tensor, "\" of group ", name_,
                        " has more than one shape or dtype"));
  }
  pieces.push_back({file, &stored});
}

void GroupSource::finish() {
  for (const auto& [name, info] : infos_) tensors_.push_back(info);
}

const TensorInfo* GroupSource::find(const std::string& name) const {
  const auto found = infos_.find(name);
  return found == infos_.end() ? nullptr : &found->second;
}

const TensorInfo& GroupSource::require(const Box& box) const {
  const TensorInfo* info = find(box.tensor);
  if (!info)
    throw UserError(cat(folder_, ": no tensor \"", box.tensor, "\" in group ", name_));
  if (box.full != info->shape || !is_inside(box))
    throw UserError(cat(folder_, ": tensor \"", box.tensor, "\" has shape [",
                        join(info->shape, ", "), "], not [", join(box.full, ", "),
                        "] as needed for ", parallel::to_string(box)),
                    "the checkpoint must be of the same model");
  std::vector<Box> stored;
  for (const Piece& piece : stored_.at(box.tensor)) stored.push_back(piece.stored->box);
  const auto missing = uncovered(box, stored);
  if (!missing.empty())
    throw UserError(cat(folder_, ": ", parallel::to_string(missing.front()), " of group ",
                        name_, " is in none of the rank files"));
  return *info;
}

at::Tensor GroupSource::read(const Box& box) const {
  const auto options = at::TensorOptions().dtype(require(box).dtype).device(at::kCPU);
  at::Tensor out = at::empty(box.extent, options);
  assemble(box, out.data_ptr());
  return out;
}

void GroupSource::read_into(const Box& box, void* out) const {
  require(box);
  assemble(box, out);
}

/// Reads each element once, although replicas may store it several times.
void GroupSource::assemble(const Box& box, void* out) const {
  std::vector<Box> missing = uncovered(box, {});
  for (const Piece& piece : stored_.at(box.tensor)) {
    if (missing.empty()) return;
    missing = take(piece, missing, box, out);
  }
}

/// Reads what the piece has of the missing parts; returns what is missing then.
std::vector<Box> GroupSource::take(const Piece& piece, const std::vector<Box>& missing,
                                   const Box& box, void* out) const {
  std::vector<Box> rest;
  for (const Box& part : missing) {
    const auto common = parallel::intersect(part, piece.stored->box);
    if (common) files_.open(piece.file).read(*piece.stored, *common, box, out);
    for (Box& left : uncovered(part, {piece.stored->box}))
      rest.push_back(std::move(left));
  }
  return rest;
}

}  // namespace mtrain::checkpoint
