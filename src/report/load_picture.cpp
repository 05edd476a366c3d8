// Draws the load of experts as a map of layers and experts; called by the trainer's log.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "mtrain/base/text.hpp"
#include "mtrain/report/pictures.hpp"
#include "svg.hpp"

namespace mtrain::report {
namespace {

constexpr double kLeft = 60, kTop = 60, kRight = 120, kBottom = 40;

/// Loads from 0 over 1 to this have colours of their own.
constexpr double kMost = 4;

std::string mixed(double share, const int (&full)[3]) {
  char text[8];
  int rgb[3];
  for (int i = 0; i < 3; ++i)
    rgb[i] = static_cast<int>(std::lround(255 + share * (full[i] - 255)));
  std::snprintf(text, sizeof text, "#%02x%02x%02x", rgb[0], rgb[1], rgb[2]);
  return text;
}

/// White at 1, blue towards 0, red towards kMost, evenly in the logarithm above 1.
std::string colour(double load) {
  constexpr int kBlue[] = {33, 84, 158}, kRed[] = {178, 24, 43};
  if (load < 1) return mixed(1 - load, kBlue);
  return mixed(std::min(1.0, std::log(load) / std::log(kMost)), kRed);
}

void draw_scale(Svg& svg, Place at) {
  for (const double load : {0.0, 0.25, 0.5, 0.75, 1.0, 1.4, 2.0, 2.8, kMost}) {
    svg.rectangle(at, 16, 16, colour(load));
    svg.text({at.x + 22, at.y + 12}, formatted("%.2f", load), "start", 11);
    at.y += 17;
  }
}

}  // namespace

std::string load_picture(const std::string& title, const std::vector<LayerLoad>& layers) {
  size_t experts = 1;
  for (const auto& row : layers) experts = std::max(experts, row.experts.size());
  const double cell = std::clamp(900.0 / static_cast<double>(experts), 6.0, 28.0);
  const double width = cell * static_cast<double>(experts),
               height = cell * static_cast<double>(layers.size());
  Svg svg(kLeft + width + kRight, kTop + std::max(170.0, height) + kBottom);
  svg.text({kLeft, 24}, title, "start", 15);
  svg.text({kLeft, 46}, "tokens of each expert over the mean of its layer", "start", 12);
  const size_t label_every =
      std::max<size_t>(1, static_cast<size_t>(std::ceil(14 / cell)));
  for (size_t i = 0; i < layers.size(); ++i) {
    const double y = kTop + cell * static_cast<double>(i);
    const auto& [layer, loads] = layers[i];
    if (i % label_every == 0)
      svg.text({kLeft - 6, y + cell / 2 + 4}, cat(layer), "end", 11);
    for (size_t e = 0; e < loads.size(); ++e) {
      svg.tell(cat("layer ", layer, ", expert ", e, ": ", formatted("%.2f", loads[e])));
      svg.rectangle({kLeft + cell * static_cast<double>(e), y}, cell - 0.5, cell - 0.5,
                    colour(loads[e]));
    }
  }
  svg.text({kLeft - 6, kTop - 6}, "layer", "end", 11);
  svg.text({kLeft + width / 2, kTop + height + 26}, cat("experts 0 to ", experts - 1),
           "middle", 12);
  draw_scale(svg, {kLeft + width + 24, kTop});
  return svg.finish();
}

}  // namespace mtrain::report
