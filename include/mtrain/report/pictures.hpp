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

/// Exponential mean with the memory of LLaMA-Factory's loss plots (smooth() in its
/// extras/ploting.py), so that pictures compare: 0.9 for long runs, less for short ones.
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
