// What the routers of a mixture of experts did, averaged over steps; for the log.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "mtrain/report/pictures.hpp"

namespace mtrain::train {

/// Tokens of the busiest expert over the mean of all.
double largest_load(const report::LayerLoad& layer);

/// Means over the steps of an interval, but for `dropped`. The losses are without their
/// factors; `loads` and `dropped` have each layer with experts.
struct RouterReport {
  double balance_loss, z_loss;  ///< sums over layers
  double entropy;               ///< mean over layers, nats
  std::vector<report::LayerLoad> loads;
  std::vector<double> dropped;  ///< by layer, in all: pairs (token, choice) left out
  double largest_load() const;
  double all_dropped() const;
};

class RouterLog {
 public:
  /// nn::RouterFigures of one step, fp64 [layers, figures] on the host, summed over all
  /// ranks.
  void add(const at::Tensor& figures);
  bool empty() const { return steps_ == 0; }
  /// Of the steps since the last call.
  RouterReport take();

 private:
  at::Tensor sum_;
  int64_t steps_ = 0;
};

}  // namespace mtrain::train
