// Adds up router figures over steps; the trainer takes a report for each log line.
#include "router_log.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>

#include "mtrain/nn/moe.hpp"

namespace mtrain::train {

using nn::RouterFigures;

double largest_load(const report::LayerLoad& layer) {
  return *std::max_element(layer.experts.begin(), layer.experts.end());
}

double RouterReport::largest_load() const {
  double largest = 0;
  for (const auto& layer : loads) largest = std::max(largest, train::largest_load(layer));
  return largest;
}

double RouterReport::all_dropped() const {
  return std::accumulate(dropped.begin(), dropped.end(), 0.0);
}

void RouterLog::add(const at::Tensor& figures) {
  sum_ = sum_.defined() ? sum_ + figures : figures;
  ++steps_;
}

RouterReport RouterLog::take() {
  const auto experts = static_cast<double>(sum_.size(1) - RouterFigures::kTokens);
  RouterReport report{};
  for (int64_t layer = 0; layer < sum_.size(0); ++layer) {
    const at::Tensor tokens = sum_[layer].slice(0, RouterFigures::kTokens);
    const double all = tokens.sum().item<double>();
    if (all == 0) continue;  // a dense layer, or nothing was trained
    const auto figure = [&](int64_t i) {
      return sum_[layer][i].item<double>() / static_cast<double>(steps_);
    };
    report.balance_loss += figure(RouterFigures::kBalance);
    report.z_loss += figure(RouterFigures::kZ);
    report.entropy += figure(RouterFigures::kEntropy);
    report.dropped.push_back(sum_[layer][RouterFigures::kDropped].item<double>());
    const at::Tensor loads = tokens * (experts / all);
    const auto* first = loads.data_ptr<double>();
    report.loads.push_back({static_cast<int>(layer), {first, first + loads.numel()}});
  }
  report.entropy /= static_cast<double>(std::max<size_t>(1, report.loads.size()));
  *this = {};
  return report;
}

}  // namespace mtrain::train
