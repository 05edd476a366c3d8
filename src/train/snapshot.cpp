// Copies state to host memory; CheckpointSaver writes from there.
#include "snapshot.hpp"

#include <ATen/ATen.h>

namespace mtrain::train {

void Snapshot::add(const std::string& group, const parallel::Box& box,
                   at::ScalarType dtype, const at::Tensor& like) {
  // Pinned where it pays: only then a GPU copies without the CPU's help.
  const auto options =
      at::TensorOptions().dtype(dtype).device(at::kCPU).pinned_memory(like.is_cuda());
  pieces_.push_back({group, box, at::empty(box.extent, options)});
}

void Snapshot::prepare() {
  if (parts_) return;
  const auto state = optimizer_.pieces(false);
  std::vector<parallel::Box> mine;
  for (const auto& piece : state) mine.push_back(piece.box);
  std::vector<std::vector<parallel::Box>> held;
  for (const auto& text : session_.all_gather_text(checkpoint::boxes_text(mine)))
    held.push_back(checkpoint::boxes_of_text(text));
  parts_ = checkpoint::share_out(held)[static_cast<size_t>(session_.rank())];
  for (const auto& part : *parts_) {
    const at::Tensor& like = state[part.index].master;
    if (only_model_) {
      add(checkpoint::kWeightsGroup, part.box, dtype_, like);
      continue;
    }
    for (const char* group : {checkpoint::kMasterGroup, checkpoint::kFirstMomentGroup,
                              checkpoint::kSecondMomentGroup})
      add(group, part.box, at::kFloat, like);
  }
}

void Snapshot::copy() {
  const auto state = optimizer_.pieces(false);
  auto target = pieces_.begin();
  for (const auto& part : *parts_) {
    const auto& piece = state[part.index];
    const auto put = [&](const at::Tensor& source) {
      (target++)->data.copy_(checkpoint::view_of(part.box, piece.box, source),
                             /*non_blocking=*/true);
    };
    put(piece.master);
    if (only_model_) continue;
    put(piece.exp_avg);
    put(piece.exp_avg_sq);
  }
  // Any read of a device tensor waits for the copies enqueued before it.
  if (!state.empty() && state.front().master.is_cuda())
    state.front().master.flatten()[0].item<float>();
}

int64_t Snapshot::bytes() const {
  int64_t total = 0;
  for (const auto& piece : pieces_) total += static_cast<int64_t>(piece.data.nbytes());
  return total;
}

}  // namespace mtrain::train
