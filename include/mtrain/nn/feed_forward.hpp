// The feed-forward layer of a block: dense, or a mixture of experts.
#pragma once

#include <variant>

#include "mtrain/nn/mlp.hpp"
#include "mtrain/nn/moe.hpp"

namespace mtrain::nn {

class FeedForward {
 public:
  FeedForward(Mlp mlp) : layer_(std::move(mlp)) {}
  FeedForward(Moe moe) : layer_(std::move(moe)) {}

  /// One of the two is used.
  struct Saved {
    Mlp::Saved mlp;
    Moe::Saved moe;
  };

  at::Tensor forward(const at::Tensor& x, const MicroBatch& batch, Saved& saved) const {
    if (const auto* mlp = std::get_if<Mlp>(&layer_)) return mlp->forward(x, saved.mlp);
    return std::get<Moe>(layer_).forward(x, batch, saved.moe);
  }
  at::Tensor backward(const at::Tensor& dy, const at::Tensor& x, const MicroBatch& batch,
                      Saved& saved) const {
    if (const auto* mlp = std::get_if<Mlp>(&layer_))
      return mlp->backward(dy, x, saved.mlp);
    return std::get<Moe>(layer_).backward(dy, x, batch, saved.moe);
  }

 private:
  std::variant<Mlp, Moe> layer_;
};

}  // namespace mtrain::nn
