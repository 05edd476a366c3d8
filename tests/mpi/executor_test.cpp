// The pipeline executor on a toy model whose losses and gradients are known by hand.
#include "mtrain/parallel/executor.hpp"

#include <ATen/ATen.h>

#include <boost/test/unit_test.hpp>
#include <map>
#include <numeric>

#include "mtrain/base/text.hpp"
#include "support/session.hpp"

using namespace mtrain;
using namespace mtrain::parallel;
using test::session;

namespace {

/// Every virtual stage multiplies by its weight; the loss is the sum of what comes out.
/// Micro-batch m enters as m + 1 in every element; its length differs from its
/// neighbours'.
class Products : public PipelineModel {
 public:
  Products(const ScheduleShape& shape, int stage, int64_t width)
      : shape_(shape), stage_(stage), width_(width) {
    for (int chunk = 0; chunk < shape.chunks; ++chunk) grads.push_back(0.0);
    loss.resize(static_cast<size_t>(shape.micro_batches));
  }

  at::Tensor forward(int chunk, int m, const at::Tensor& input) override {
    const int place = virtual_stage(chunk);
    BOOST_TEST(input.defined() == (place > 0));
    at::Tensor x = input;
    if (place == 0) x = empty_activation(m).fill_(m + 1);
    BOOST_TEST(kept_.emplace(std::pair(chunk, m), x).second);
    ++forwards;
    for (int i = 0; i <= m; ++i) turns().hand_over();
    const at::Tensor y = x * weight(place);
    if (!last(place)) return y;
    loss[static_cast<size_t>(m)] = y.sum(at::kDouble).item<double>();
    return {};
  }

  at::Tensor backward(int chunk, int m, const at::Tensor& grad) override {
    const int place = virtual_stage(chunk);
    BOOST_TEST(grad.defined() == !last(place));
    const auto kept = kept_.find({chunk, m});
    BOOST_REQUIRE((kept != kept_.end()));
    const at::Tensor g = last(place) ? at::ones_like(kept->second) : grad;
    grads[static_cast<size_t>(chunk)] +=
        (g * kept->second).sum(at::kDouble).item<double>();
    kept_.erase(kept);
    ++backwards;
    for (int i = 0; i < chunk + 2; ++i) turns().hand_over();
    return place > 0 ? g * weight(place) : at::Tensor();
  }

  at::Tensor empty_activation(int m) const override {
    return at::empty({length(m), width_}, test::on_device(at::kFloat));
  }

  static int64_t length(int m) { return 1 + m % 3; }
  static double weight(int place) {
    return place % 3 == 0 ? 2.0 : place % 3 == 1 ? -1 : 3;
  }

  std::vector<double> grads, loss;
  int forwards = 0, backwards = 0;

 private:
  int virtual_stage(int chunk) const { return chunk * shape_.stages + stage_; }
  bool last(int place) const { return place == shape_.stages * shape_.chunks - 1; }

  ScheduleShape shape_;
  int stage_;
  int64_t width_;
  std::map<std::pair<int, int>, at::Tensor> kept_;
};

double product_of_weights(int places) {
  double product = 1;
  for (int place = 0; place < places; ++place) product *= Products::weight(place);
  return product;
}

/// Sum of the elements of micro-batch m where it enters.
double input_sum(int m, int64_t width) {
  return static_cast<double>((m + 1) * Products::length(m) * width);
}

void check_losses(const Products& model, const ScheduleShape& s, int64_t width) {
  for (int m = 0; m < s.micro_batches; ++m) {
    BOOST_TEST(model.loss[static_cast<size_t>(m)] ==
               product_of_weights(s.stages * s.chunks) * input_sum(m, width));
  }
}

void train(const ScheduleShape& s, int64_t width, comm::Communicator& pipeline) {
  const int stage = pipeline.rank();
  Products model(s, stage, width);
  run_schedule(training_schedule(s, stage), s, model, pipeline,
               test::session().activity());
  BOOST_TEST(model.forwards == s.chunks * s.micro_batches);
  BOOST_TEST(model.backwards == s.chunks * s.micro_batches);
  const double product = product_of_weights(s.stages * s.chunks);
  double inputs = 0;
  for (int m = 0; m < s.micro_batches; ++m) inputs += input_sum(m, width);
  for (int chunk = 0; chunk < s.chunks; ++chunk) {
    const double own = Products::weight(chunk * s.stages + stage);
    BOOST_TEST(model.grads[static_cast<size_t>(chunk)] == product / own * inputs);
  }
  if (stage == s.stages - 1) check_losses(model, s, width);
}

void evaluate(const ScheduleShape& s, int64_t width, comm::Communicator& pipeline) {
  const int stage = pipeline.rank();
  Products model(s, stage, width);
  run_schedule(forward_schedule(s, stage), s, model, pipeline,
               test::session().activity());
  BOOST_TEST(model.forwards == s.chunks * s.micro_batches);
  BOOST_TEST(model.backwards == 0);
  if (stage == s.stages - 1) check_losses(model, s, width);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(executor)

BOOST_AUTO_TEST_CASE(every_schedule_gives_the_products_and_their_gradients) {
  std::vector<int> ranks(static_cast<size_t>(session().world_size()));
  std::iota(ranks.begin(), ranks.end(), 0);
  const auto pipeline =
      session().make_group("pipeline", ranks, test::backend(),
                           comm::pipeline_channels(session().world_size()));
  for (const int chunks : {1, 2, 3})
    for (const int micro_batches : {1, 2, 3, 4, 5, 8})
      for (const bool overlap : {false, true}) {
        // Small messages leave at once, large ones only when the receiver is there.
        for (const int64_t width : {3, 20000}) {
          if (width > 3 && micro_batches != 5) continue;
          for (const bool pairs : {false, true}) {
            const ScheduleShape shape{pipeline->size(), chunks, micro_batches, overlap,
                                      pairs};
            BOOST_TEST_CONTEXT("chunks " << chunks << " micro-batches " << micro_batches
                                         << (overlap ? " overlap" : "")
                                         << (pairs ? " pairs" : "")) {
              train(shape, width, *pipeline);
              evaluate(shape, width, *pipeline);
            }
          }
        }
      }
}

BOOST_AUTO_TEST_CASE(one_stage_needs_no_transfers) {
  const auto alone = session().make_group("alone", {session().rank()}, test::backend());
  train({1, 1, 4, true}, 3, *alone);
  train({1, 1, 4, true, true}, 3, *alone);
  evaluate({1, 1, 4, false}, 3, *alone);
}

BOOST_AUTO_TEST_SUITE_END()
