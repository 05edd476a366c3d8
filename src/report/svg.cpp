// Writes SVG elements; used by the pictures.
#include "svg.hpp"

#include "mtrain/base/text.hpp"

namespace mtrain::report {
namespace {

std::string number(double value) {
  return formatted("%.2f", value);
}

std::string escaped(const std::string& words) {
  std::string result;
  for (const char c : words) {
    if (c == '&')
      result += "&amp;";
    else if (c == '<')
      result += "&lt;";
    else if (c == '"')
      result += "&quot;";
    else
      result += c;
  }
  return result;
}

}  // namespace

Svg::Svg(double width, double height)
    : head_(cat("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"", number(width),
                "\" height=\"", number(height), "\" viewBox=\"0 0 ", number(width), " ",
                number(height), "\" font-family=\"sans-serif\">\n")) {
  rectangle({0, 0}, width, height, "#ffffff");
}

void Svg::shape(const std::string& opening) {
  body_ += told_.empty() ? opening + "/>\n"
                         : cat(opening, "><title>", escaped(told_), "</title></",
                               opening.substr(1, opening.find(' ') - 1), ">\n");
  told_.clear();
}

void Svg::rectangle(Place at, double width, double height, const std::string& fill) {
  shape(cat("<rect x=\"", number(at.x), "\" y=\"", number(at.y), "\" width=\"",
            number(width), "\" height=\"", number(height), "\" fill=\"", fill, "\""));
}

void Svg::line(Place from, Place to, const std::string& colour) {
  body_ += cat("<line x1=\"", number(from.x), "\" y1=\"", number(from.y), "\" x2=\"",
               number(to.x), "\" y2=\"", number(to.y), "\" stroke=\"", colour, "\"/>\n");
}

void Svg::path(const std::vector<Place>& places, const std::string& colour, double width,
               double opacity) {
  std::string points;
  for (const Place& p : places) points += cat(number(p.x), ",", number(p.y), " ");
  body_ += cat("<polyline fill=\"none\" stroke=\"", colour, "\" stroke-width=\"",
               number(width), "\" stroke-opacity=\"", number(opacity),
               "\" stroke-linejoin=\"round\" points=\"", points, "\"/>\n");
}

void Svg::dot(Place at, const std::string& colour) {
  shape(cat("<circle cx=\"", number(at.x), "\" cy=\"", number(at.y), "\" r=\"4\" fill=\"",
            colour, "\" stroke=\"#ffffff\""));
}

void Svg::text(Place at, const std::string& words, const std::string& anchor, int size) {
  body_ += cat("<text x=\"", number(at.x), "\" y=\"", number(at.y), "\" font-size=\"",
               size, "\" fill=\"#333333\" text-anchor=\"", anchor, "\">", escaped(words),
               "</text>\n");
}

std::string Svg::finish() const {
  return head_ + body_ + "</svg>\n";
}

}  // namespace mtrain::report
