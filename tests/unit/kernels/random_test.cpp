// Boxes of normal numbers against the stream they are cut from.
#include "mtrain/kernels/random.hpp"

#include "mtrain/base/error.hpp"
#include "mtrain/base/rng.hpp"
#include "unit/kernels/oracle.hpp"

namespace mtrain::kernels {
namespace {

using namespace test;

constexpr uint64_t kSeed = 7;
constexpr double kStddev = 0.02;

/// The box cut from the whole matrix as base makes it.
at::Tensor want(const NormalBox& box, at::ScalarType dtype) {
  at::Tensor rows = at::empty({box.rows, box.columns});
  for (int64_t r = 0; r < box.rows; ++r)
    normal_stream(kSeed, "w", box.first + r * box.full_columns, box.columns,
                  rows[r].data_ptr<float>());
  return rows.mul_(kStddev).flatten().to(dtype).to(device());
}

void check_box(const NormalBox& box, at::ScalarType dtype) {
  BOOST_TEST_CONTEXT(box.rows << " x " << box.columns << " from " << box.first << " of "
                              << box.full_columns << " columns, " << dtype) {
    at::Tensor got = at::full({box.rows * box.columns + 1}, NAN, on_device(dtype));
    at::Tensor body = got.narrow(0, 0, box.rows * box.columns);
    normal_fill_(body, kSeed, "w", box, kStddev);
    const at::Tensor expected = want(box, dtype);
    // On a GPU one ulp of fp32, which may be the next bf16 too, now and then.
    check_close(body, expected, 2, 0, "values");
    const at::Tensor same = body.eq(expected).to(at::kFloat);
    if (body.numel() > 0)
      BOOST_TEST(same.mean().item<float>() >= (device().is_cpu() ? 1.0f : 0.99f));
    BOOST_TEST(got[-1].isnan().item<bool>());
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(random_numbers)

BOOST_AUTO_TEST_CASE(boxes_are_cut_from_the_stream) {
  for (at::ScalarType dtype : kDtypes) {
    for (const NormalBox& box :
         {NormalBox{1, 1, 0, 1}, NormalBox{1, 1001, 3, 1001}, NormalBox{20, 64, 0, 64},
          NormalBox{33, 17, 1002, 101}, NormalBox{9, 2, 7, 50}, NormalBox{0, 8, 0, 8},
          NormalBox{300, 128, (int64_t{1} << 40) + 128, 512}})
      check_box(box, dtype);
  }
}

BOOST_AUTO_TEST_CASE(refuses_a_box_that_does_not_fit) {
  at::Tensor out = at::zeros({7}, on_device());
  BOOST_CHECK_THROW(normal_fill_(out, kSeed, "w", {2, 4, 0, 4}, kStddev), Error);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mtrain::kernels
