// Draws training_loss.svg; called by the trainer's log.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "mtrain/base/text.hpp"
#include "mtrain/report/pictures.hpp"
#include "svg.hpp"

namespace mtrain::report {
namespace {

constexpr double kWidth = 860, kHeight = 480;
constexpr double kLeft = 70, kRight = 30, kTop = 50, kBottom = 50;
const char* const kRawColour = "#7aa6d6";
const char* const kSmoothColour = "#1f4e8c";
const char* const kEvaluationColour = "#d1495b";

struct Span {
  double low = 0, high = 1;
};

/// An axis: its span, and marks at 1, 2 or 5 times a power of ten.
struct Axis {
  Span span;
  double mark;
};

double mark_distance(double range, int about) {
  const double rough = range / about;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (factor * power >= rough) return factor * power;
  return 10 * power;
}

/// From the smallest to the largest value; one apart where all are equal.
Span span_of(std::vector<double> values) {
  if (values.empty()) return {};
  const auto [low, high] = std::ranges::minmax(values);
  return low == high ? Span{low - 0.5, high + 0.5} : Span{low, high};
}

std::vector<double> steps_of(const LossCurve& curve) {
  std::vector<double> steps;
  for (const auto* points : {&curve.training, &curve.evaluation})
    for (const Point& p : *points) steps.push_back(p.step);
  return steps;
}

/// The losses the picture has room for: all evaluations, and of the raw losses all but
/// the hundredth part at either end, so that a few spikes don't flatten the rest.
std::vector<double> losses_of(const LossCurve& curve) {
  std::vector<double> raw;
  for (const Point& p : curve.training) raw.push_back(p.value);
  std::ranges::sort(raw);
  const auto spikes = static_cast<std::ptrdiff_t>(raw.size() / 100);
  std::vector<double> losses(raw.begin() + spikes, raw.end() - spikes);
  for (const Point& p : curve.evaluation) losses.push_back(p.value);
  return losses;
}

std::string mark_text(double value, double mark) {
  const int digits = std::max(0, static_cast<int>(std::ceil(-std::log10(mark) - 1e-9)));
  char text[32];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

class Chart {
 public:
  explicit Chart(const LossCurve& curve)
      : svg_(kWidth, kHeight),
        x_(axis(span_of(steps_of(curve)), 8)),
        y_(axis(span_of(losses_of(curve)), 6)) {
    const double margin = 0.05 * (y_.span.high - y_.span.low);
    y_.span = {y_.span.low - margin, y_.span.high + margin};
    x_.mark = std::max(1.0, x_.mark);  // there are no half steps
  }

  /// Where a point is drawn: at the frame's edge if it lies beyond.
  Place place(const Point& p) const {
    const double x = (p.step - x_.span.low) / (x_.span.high - x_.span.low);
    const double y = (p.value - y_.span.low) / (y_.span.high - y_.span.low);
    return {kLeft + x * (kWidth - kLeft - kRight),
            kHeight - kBottom - std::clamp(y, 0.0, 1.0) * (kHeight - kTop - kBottom)};
  }

  void axes() {
    for (double v = first(y_); v <= y_.span.high; v += y_.mark) {
      const double y = place({x_.span.low, v}).y;
      svg_.line({kLeft, y}, {kWidth - kRight, y}, "#e3e3e3");
      svg_.text({kLeft - 8, y + 4}, mark_text(v, y_.mark), "end", 12);
    }
    for (double v = first(x_); v <= x_.span.high; v += x_.mark) {
      const double x = place({v, y_.span.low}).x;
      svg_.line({x, kHeight - kBottom}, {x, kHeight - kBottom + 5}, "#888888");
      svg_.text({x, kHeight - kBottom + 20}, mark_text(v, 1), "middle", 12);
    }
    svg_.line({kLeft, kHeight - kBottom}, {kWidth - kRight, kHeight - kBottom},
              "#888888");
    svg_.text({kLeft + (kWidth - kLeft - kRight) / 2, kHeight - 10}, "step", "middle",
              13);
    svg_.text({kLeft - 8, kTop - 8}, "loss", "end", 13);
  }

  void curve(const std::vector<Point>& points, const std::string& colour, double width,
             double opacity) {
    std::vector<Place> places;
    for (const Point& p : points) places.push_back(place(p));
    svg_.path(places, colour, width, opacity);
  }

  void dots(const std::vector<Point>& points, const std::string& colour) {
    for (const Point& p : points) {
      svg_.tell(cat("step ", p.step, ": ", p.value));
      svg_.dot(place(p), colour);
    }
  }

  void legend(const LossCurve& curve) {
    svg_.text({kLeft, 28}, curve.title, "start", 15);
    double x = kWidth - kRight;
    const auto entry = [&](const std::string& words, const std::string& colour) {
      svg_.text({x, 28}, words, "end", 12);
      x -= 7.5 * static_cast<double>(words.size());
      svg_.rectangle({x - 16, 20}, 12, 6, colour);
      x -= 36;
    };
    if (!curve.evaluation.empty()) entry("evaluation", kEvaluationColour);
    entry("smoothed", kSmoothColour);
    entry("loss", kRawColour);
  }

  std::string finish() const { return svg_.finish(); }

 private:
  static Axis axis(const Span& span, int about) {
    return {span, mark_distance(span.high - span.low, about)};
  }
  static double first(const Axis& axis) {
    return std::ceil(axis.span.low / axis.mark) * axis.mark;
  }

  Svg svg_;
  Axis x_, y_;
};

}  // namespace

std::vector<Point> smoothed(const std::vector<Point>& points) {
  const auto count = static_cast<double>(points.size());
  const double memory = 1.8 * (1 / (1 + std::exp(-0.05 * count)) - 0.5);
  std::vector<Point> result;
  for (const Point& p : points) {
    const double last = result.empty() ? p.value : result.back().value;
    result.push_back({p.step, memory * last + (1 - memory) * p.value});
  }
  return result;
}

std::string loss_picture(const LossCurve& curve) {
  Chart chart(curve);
  chart.axes();
  chart.legend(curve);
  chart.curve(curve.training, kRawColour, 1, 0.8);
  chart.curve(smoothed(curve.training), kSmoothColour, 2, 1);
  chart.dots(curve.evaluation, kEvaluationColour);
  return chart.finish();
}

}  // namespace mtrain::report
