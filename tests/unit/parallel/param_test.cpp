// Boxes of flat ranges: over random ranges of fused, padded, sliced and three-dimensional
// parameters the boxes hold exactly the elements of the range, each at its place.
#include "mtrain/parallel/param.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <map>
#include <random>

#include "mtrain/base/text.hpp"

using namespace mtrain;
using namespace mtrain::parallel;

namespace {

/// A logical element: tensor and index.
struct Element {
  std::string tensor;
  Shape index;
  bool operator==(const Element&) const = default;
};

/// Element `position` of a box, counted row by row.
Element element(const Box& box, int64_t position) {
  Element result{box.tensor, box.offset};
  for (size_t d = box.extent.size(); d-- > 0;) {
    result.index[d] += position % box.extent[d];
    position /= box.extent[d];
  }
  return result;
}

using Elements = std::map<int64_t, Element>;  ///< by local position

/// What boxes hold; a local position held twice is a fault.
Elements elements(const std::vector<LocalBox>& boxes) {
  Elements held;
  for (const auto& [begin, box] : boxes) {
    for (int64_t i = 0; i < box.size(); ++i) {
      BOOST_TEST(held.emplace(begin + i, element(box, i)).second);
    }
  }
  return held;
}

ParamSpec spec(Shape shape, std::vector<LocalBox> boxes) {
  return {"p",           std::move(shape),     std::move(boxes),
          Init::kNormal, TensorRole::kSharded, false};
}

std::vector<ParamSpec> specs() {
  return {
      // Rank 1 of 2 of fused queries, keys and values.
      spec({12, 5}, {{0, {"q", {12, 5}, {6, 0}, {6, 5}}},
                     {30, {"k", {6, 5}, {3, 0}, {3, 5}}},
                     {45, {"v", {6, 5}, {3, 0}, {3, 5}}}}),
      // A vocabulary of 7 with three rows of padding.
      spec({10, 4}, {{0, {"table", {7, 4}, {0, 0}, {7, 4}}}}),
      // A slice of the vocabulary that is all padding.
      spec({10, 4}, {}),
      // Columns of a matrix, and a vector.
      spec({7, 3}, {{0, {"out", {7, 9}, {0, 6}, {7, 3}}}}),
      spec({11}, {{0, {"norm", {11}, {0}, {11}}}}),
      // Single column and single row.
      spec({6, 1}, {{0, {"column", {6, 2}, {0, 1}, {6, 1}}}}),
      spec({1, 6}, {{0, {"row", {2, 6}, {1, 0}, {1, 6}}}}),
      // Two of four experts.
      spec({2, 3, 4}, {{0, {"experts", {4, 3, 8}, {2, 0, 4}, {2, 3, 4}}}}),
  };
}

/// The elements of the parameter inside [begin, end), from the definition of LocalBox.
Elements expected(const ParamSpec& p, int64_t begin, int64_t end) {
  Elements held = elements(p.boxes);
  std::erase_if(
      held, [&](const auto& entry) { return entry.first < begin || entry.first >= end; });
  return held;
}

void check_range(const ParamSpec& p, int64_t begin, int64_t end) {
  const auto boxes = boxes_of_range(p, begin, end);
  const auto describe = [&] {
    std::vector<std::string> shown;
    for (const auto& [at, box] : boxes) shown.push_back(cat(at, ":", to_string(box)));
    return cat("[", begin, ", ", end, ") gave ", join(shown, "; "));
  };
  const bool covers = elements(boxes) == expected(p, begin, end);
  BOOST_CHECK_MESSAGE(covers, describe());
  const bool ordered = std::is_sorted(
      boxes.begin(), boxes.end(),
      [](const LocalBox& a, const LocalBox& b) { return a.begin < b.begin; });
  BOOST_CHECK_MESSAGE(ordered, describe());
  // Three per two dimensions, and two more for each further one.
  const size_t most = std::max<size_t>(1, 2 * p.shape.size() - 1) * p.boxes.size();
  BOOST_CHECK_MESSAGE(boxes.size() <= most, describe());
  for (const auto& [at, box] : boxes) {
    BOOST_TEST(box.size() > 0, describe());
    const auto whole = std::find_if(p.boxes.begin(), p.boxes.end(), [&](const auto& b) {
      return b.box.tensor == box.tensor;
    });
    BOOST_TEST((box.full == whole->box.full));
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(boxes)

BOOST_AUTO_TEST_CASE(every_range_of_every_parameter) {
  for (const ParamSpec& p : specs()) {
    const int64_t size = numel(p.shape);
    for (int64_t begin = 0; begin <= size; ++begin)
      for (int64_t end = begin; end <= size; ++end) check_range(p, begin, end);
  }
}

// Shards of a bucket begin before a parameter and end after it.
BOOST_AUTO_TEST_CASE(ranges_beyond_the_parameter) {
  std::mt19937 random(7);
  for (const ParamSpec& p : specs()) {
    const int64_t size = numel(p.shape);
    for (int i = 0; i < 200; ++i) {
      const auto draw = [&] {
        return static_cast<int64_t>(random() % static_cast<uint64_t>(3 * size)) - size;
      };
      const int64_t a = draw(), b = draw();
      check_range(p, std::min(a, b), std::max(a, b));
    }
    check_range(p, -5, 0);
    check_range(p, size, size + 5);
  }
}

BOOST_AUTO_TEST_CASE(a_range_within_rows_is_three_boxes) {
  const ParamSpec p = spec({4, 5}, {{0, {"w", {8, 5}, {4, 0}, {4, 5}}}});
  const auto found = boxes_of_range(p, 3, 17);
  BOOST_REQUIRE(found.size() == 3u);
  BOOST_TEST((found[0].box == Box{"w", {8, 5}, {4, 3}, {1, 2}}));
  BOOST_TEST((found[1].box == Box{"w", {8, 5}, {5, 0}, {2, 5}}));
  BOOST_TEST((found[2].box == Box{"w", {8, 5}, {7, 0}, {1, 2}}));
  BOOST_TEST((found[0].begin == 3 && found[1].begin == 5 && found[2].begin == 15));
}

BOOST_AUTO_TEST_CASE(whole_rows_are_one_box) {
  for (const ParamSpec& p : specs()) {
    const auto found = boxes_of_range(p, 0, numel(p.shape));
    BOOST_REQUIRE(found.size() == p.boxes.size());
    for (size_t i = 0; i < found.size(); ++i) {
      BOOST_TEST((found[i].box == p.boxes[i].box && found[i].begin == p.boxes[i].begin));
    }
  }
}

BOOST_AUTO_TEST_CASE(only_matrices_decay) {
  BOOST_TEST(spec({3, 4}, {}).decays());
  BOOST_TEST(spec({2, 3, 4}, {}).decays());
  BOOST_TEST(!spec({4}, {}).decays());
}

BOOST_AUTO_TEST_SUITE_END()
