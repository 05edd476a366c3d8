// Pictures of a run, as SVG text.
#pragma once

#include <string>
#include <vector>

namespace mtrain::report {

struct Point {
  double step, value;
};

struct LossCurve {
  std::string title;
  std::vector<Point> training, evaluation;  ///< in the order of steps, finite
};

/// Exponential mean over about a tenth of the points (at most 50), weighted so that it
/// starts at the first value.
std::vector<Point> smoothed(const std::vector<Point>& points);

/// Training loss, raw and smoothed, and a dot for each evaluation.
std::string loss_picture(const LossCurve& curve);

/// What the experts of one layer were sent, in multiples of the layer's mean.
struct LayerLoad {
  int layer;
  std::vector<double> experts;
};

/// A row per layer, a cell per expert: white where it has the mean load, red above, blue
/// below.
std::string load_picture(const std::string& title, const std::vector<LayerLoad>& layers);

}  // namespace mtrain::report
