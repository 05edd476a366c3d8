// Copies of a rank's part of the state in host memory, to be written while training goes
// on.
#pragma once

#include <optional>
#include <vector>

#include "mtrain/checkpoint/share.hpp"
#include "mtrain/checkpoint/training_checkpoint.hpp"
#include "mtrain/comm/session.hpp"
#include "mtrain/parallel/optimizer.hpp"

namespace mtrain::train {

/// Keeps its memory from one save to the next: the boxes of a run never change.
class Snapshot {
 public:
  /// `only_model`: weights in `dtype` instead of master weights and moments.
  Snapshot(const parallel::Optimizer& optimizer, bool only_model, at::ScalarType dtype,
           const comm::Session& session)
      : optimizer_(optimizer),
        only_model_(only_model),
        dtype_(dtype),
        session_(session) {}

  /// Makes room, at its first call also the plan of who stores what. Collective.
  void prepare();
  /// Copies all state this rank stores, into the same memory each time.
  void copy();

  const std::vector<checkpoint::NamedPiece>& pieces() const { return pieces_; }
  int64_t bytes() const;

 private:
  void add(const std::string& group, const parallel::Box& box, at::ScalarType dtype,
           const at::Tensor& like);

  const parallel::Optimizer& optimizer_;
  bool only_model_;
  at::ScalarType dtype_;
  const comm::Session& session_;
  std::optional<std::vector<checkpoint::Part>> parts_;
  std::vector<checkpoint::NamedPiece> pieces_;
};

}  // namespace mtrain::train
