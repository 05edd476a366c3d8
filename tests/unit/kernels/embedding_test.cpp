// The embedding lookup and its gradient, whole and cut into slices.
#include "mtrain/kernels/embedding.hpp"

#include "unit/kernels/oracle.hpp"

namespace mtrain::kernels {

using namespace test;

BOOST_AUTO_TEST_SUITE(embedding)

BOOST_AUTO_TEST_CASE(slices_sum_to_the_whole) {
  at::manual_seed(1);
  for (at::ScalarType dtype : kDtypes) {
    for (int64_t tokens : {0, 1, 300}) {
      const at::Tensor table = random({17, 70}, dtype), dy = random({tokens, 70}, dtype);
      const at::Tensor ids = at::randint(0, 17, {tokens}, on_device(at::kLong));
      const at::Tensor low = embedding_forward(table.narrow(0, 0, 9), ids, 0);
      const at::Tensor high = embedding_forward(table.narrow(0, 9, 8), ids, 9);
      BOOST_TEST(at::equal(low + high, table.index_select(0, ids)));

      at::Tensor grad = at::full({17, 70}, 0.5f, on_device());
      at::Tensor first = grad.narrow(0, 0, 9), second = grad.narrow(0, 9, 8);
      embedding_backward(first, dy, ids, 0);
      embedding_backward(second, dy, ids, 9);
      const at::Tensor want = at::full({17, 70}, 0.5, on_device(at::kDouble))
                                  .index_add_(0, ids, dy.to(at::kDouble));
      check_close(grad, want, 1, std::sqrt(static_cast<double>(tokens)), "grad");
    }
  }
}

BOOST_AUTO_TEST_CASE(tokens_are_added_in_order) {
  // In fp32 1 + 2^25 - 2^25 is 0 in this order and 1 in the other.
  at::Tensor grad = at::zeros({1, 1}, on_device());
  const at::Tensor dy =
      at::tensor({1.0f, 33554432.0f, -33554432.0f}, on_device()).view({3, 1});
  embedding_backward(grad, dy, at::zeros({3}, on_device(at::kLong)), 0);
  BOOST_TEST(grad.item<float>() == 0.0f);
}

BOOST_AUTO_TEST_CASE(threads_do_not_change_results) {
  at::manual_seed(2);
  const at::Tensor dy = random({500, 1000}),
                   ids = at::randint(0, 5, {500}, on_device(at::kLong));
  check_threads([&]() -> std::vector<at::Tensor> {
    at::Tensor grad = at::zeros({5, 1000}, on_device());
    embedding_backward(grad, dy, ids, 0);
    return {grad, embedding_forward(dy, ids, 0)};
  });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mtrain::kernels
