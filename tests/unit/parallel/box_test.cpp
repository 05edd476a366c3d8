// Boxes: intersection over every pair of small ranges, scalars, printing, overflow.
#define BOOST_TEST_MODULE box
#include "mtrain/parallel/box.hpp"

#include <boost/test/unit_test.hpp>

#include "mtrain/base/error.hpp"

using namespace mtrain;
using namespace mtrain::parallel;

namespace {

bool contains(const Box& box, int64_t row, int64_t column) {
  return row >= box.offset[0] && row < box.offset[0] + box.extent[0] &&
         column >= box.offset[1] && column < box.offset[1] + box.extent[1];
}

/// All boxes of a 3 x 2 tensor that hold at least one element.
std::vector<Box> all_boxes() {
  std::vector<Box> boxes;
  for (int64_t r = 0; r < 3; ++r)
    for (int64_t rows = 1; r + rows <= 3; ++rows)
      for (int64_t c = 0; c < 2; ++c)
        for (int64_t columns = 1; c + columns <= 2; ++columns)
          boxes.push_back({"w", {3, 2}, {r, c}, {rows, columns}});
  return boxes;
}

}  // namespace

BOOST_AUTO_TEST_CASE(intersection_holds_exactly_the_common_elements) {
  for (const Box& a : all_boxes())
    for (const Box& b : all_boxes()) {
      const auto common = intersect(a, b);
      int64_t expected = 0;
      for (int64_t r = 0; r < 3; ++r)
        for (int64_t c = 0; c < 2; ++c) {
          const bool both = contains(a, r, c) && contains(b, r, c);
          expected += both;
          BOOST_TEST((common && contains(*common, r, c)) == both);
        }
      BOOST_TEST((common ? common->size() : 0) == expected);
    }
}

BOOST_AUTO_TEST_CASE(touching_boxes_share_nothing) {
  BOOST_TEST(!intersect({"w", {4}, {0}, {2}}, {"w", {4}, {2}, {2}}));
  BOOST_TEST(!intersect({"w", {4}, {1}, {0}}, {"w", {4}, {0}, {4}}));
}

BOOST_AUTO_TEST_CASE(a_scalar_is_one_element) {
  const Box scalar{"s", {}, {}, {}};
  BOOST_TEST(scalar.size() == 1);
  BOOST_TEST((intersect(scalar, scalar) == scalar));
  BOOST_TEST(to_string(scalar) == "s[]");
}

BOOST_AUTO_TEST_CASE(different_tensors_are_refused) {
  BOOST_CHECK_THROW(intersect({"a", {4}, {0}, {4}}, {"b", {4}, {0}, {4}}), Error);
  BOOST_CHECK_THROW(intersect({"a", {4}, {0}, {4}}, {"a", {5}, {0}, {4}}), Error);
}

BOOST_AUTO_TEST_CASE(printing_names_the_ranges) {
  BOOST_TEST(to_string({"w", {4, 8}, {1, 0}, {2, 8}}) == "w[1:3, 0:8]");
}

BOOST_AUTO_TEST_CASE(sizes_never_wrap_around) {
  BOOST_TEST(numel({3, 0, 5}) == 0);
  BOOST_CHECK_THROW(numel({int64_t{1} << 40, int64_t{1} << 40}), Error);
  BOOST_CHECK_THROW(numel({-1, 4}), Error);
}
