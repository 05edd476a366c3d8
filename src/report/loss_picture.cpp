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

template <class Get>
Span span_of(const LossCurve& curve, const Get& get) {
  Span span{HUGE_VAL, -HUGE_VAL};
  for (const auto* points : {&curve.training, &curve.evaluation}) {
    for (const Point& p : *points) {
      span.low = std::min(span.low, get(p));
      span.high = std::max(span.high, get(p));
    }
  }
  if (span.low > span.high) return {};
  if (span.low == span.high) return {span.low - 0.5, span.high + 0.5};
  return span;
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
        x_(axis(span_of(curve, [](const Point& p) { return p.step; }), 8)),
        y_(axis(span_of(curve, [](const Point& p) { return p.value; }), 6)) {
    const double margin = 0.05 * (y_.span.high - y_.span.low);
    y_.span = {y_.span.low - margin, y_.span.high + margin};
  }

  Place place(const Point& p) const {
    const double x = (p.step - x_.span.low) / (x_.span.high - x_.span.low);
    const double y = (p.value - y_.span.low) / (y_.span.high - y_.span.low);
    return {kLeft + x * (kWidth - kLeft - kRight),
            kHeight - kBottom - y * (kHeight - kTop - kBottom)};
  }

  void axes() {
    for (double v = first(y_); v <= y_.span.high; v += y_.mark) {
      const double y = place({x_.span.low, v}).y;
      svg_.line({kLeft, y}, {kWidth - kRight, y}, "#e3e3e3");
      svg_.text({kLeft - 8, y + 4}, mark_text(v, y_.mark), "end", 12);
    }
    for (double v = first(x_); v <= x_.span.high; v += std::max(1.0, x_.mark)) {
      const double x = place({v, y_.span.low}).x;
      svg_.line({x, kHeight - kBottom}, {x, kHeight - kBottom + 5}, "#888888");
      svg_.text({x, kHeight - kBottom + 20}, mark_text(v, 1), "middle", 12);
    }
    svg_.line({kLeft, kHeight - kBottom}, {kWidth - kRight, kHeight - kBottom},
              "#888888");
    svg_.text({kLeft + (kWidth - kLeft - kRight) / 2, kHeight - 10}, "step", "middle",
              13);
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
  const double window = std::clamp(static_cast<double>(points.size()) / 10, 1.0, 50.0);
  const double memory = 1 - 1 / window;
  std::vector<Point> result;
  double sum = 0, weight = 0;
  for (const Point& p : points) {
    sum = memory * sum + p.value;
    weight = memory * weight + 1;
    result.push_back({p.step, sum / weight});
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
