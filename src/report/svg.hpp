// The few shapes that the pictures are made of.
#pragma once

#include <string>
#include <vector>

namespace mtrain::report {

/// Pixels from the upper left corner.
struct Place {
  double x, y;
};

/// Collects shapes of one picture.
class Svg {
 public:
  Svg(double width, double height);

  void rectangle(Place at, double width, double height, const std::string& fill);
  void line(Place from, Place to, const std::string& colour);
  void path(const std::vector<Place>& places, const std::string& colour, double width,
            double opacity);
  void dot(Place at, const std::string& colour);
  /// `anchor`: start, middle or end of the text is at `at`.
  void text(Place at, const std::string& words, const std::string& anchor, int size);
  /// The next rectangle or dot tells this when pointed at.
  void tell(const std::string& words) { told_ = words; }

  std::string finish() const;

 private:
  void shape(const std::string& opening);

  std::string head_, body_, told_;
};

}  // namespace mtrain::report
