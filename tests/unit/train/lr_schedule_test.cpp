// Learning rates against tables computed from the formulas of transformers'
// get_scheduler.
#include "lr_schedule.hpp"

#include <boost/test/unit_test.hpp>
#include <fstream>
#include <nlohmann/json.hpp>

using namespace mtrain;
using config::DecayStyle;
using config::LrScheduler;
using train::LrSchedule;

namespace {

constexpr double kRate = 2e-3;
constexpr int64_t kTotal = 12;

config::Optimizer options(LrScheduler type, int64_t warmup_steps) {
  config::Optimizer o{};
  o.learning_rate = kRate;
  o.lr_scheduler_type = type;
  o.warmup_steps = warmup_steps;
  return o;
}

/// `factors` from update 0 on, the last ones beyond the end of the run.
void check(const config::Optimizer& o, const std::vector<double>& factors) {
  const LrSchedule schedule(o, kTotal);
  for (size_t i = 0; i < factors.size(); ++i) {
    const double expected = kRate * factors[i];
    const double found = schedule.rate(static_cast<double>(i));
    BOOST_CHECK_MESSAGE(std::abs(found - expected) < 1e-11 * kRate,
                        config::to_string(o.lr_scheduler_type)
                            << " of update " << i << ": " << found << " instead of "
                            << expected);
  }
}

config::Optimizer stable_decay(DecayStyle style, double min_lr, int64_t decay_steps) {
  config::Optimizer o = options(LrScheduler::kWarmupStableDecay, 3);
  o.min_lr = min_lr;
  o.lr_wsd_decay_iters = decay_steps;
  o.lr_wsd_decay_style = style;
  return o;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(lr_schedule)

BOOST_AUTO_TEST_CASE(constant_ignores_warm_up) {
  check(options(LrScheduler::kConstant, 3), std::vector<double>(14, 1.0));
}

BOOST_AUTO_TEST_CASE(constant_with_warmup) {
  check(options(LrScheduler::kConstantWithWarmup, 3),
        {0, 0.333333333333, 0.666666666667, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1});
}

BOOST_AUTO_TEST_CASE(linear) {
  check(options(LrScheduler::kLinear, 3),
        {0, 0.333333333333, 0.666666666667, 1, 0.888888888889, 0.777777777778,
         0.666666666667, 0.555555555556, 0.444444444444, 0.333333333333, 0.222222222222,
         0.111111111111, 0, 0});
}

BOOST_AUTO_TEST_CASE(cosine) {
  check(options(LrScheduler::kCosine, 3),
        {0, 0.333333333333, 0.666666666667, 1, 0.969846310393, 0.883022221559, 0.75,
         0.586824088833, 0.413175911167, 0.25, 0.116977778441, 0.030153689607, 0});
}

BOOST_AUTO_TEST_CASE(cosine_with_min_lr) {
  config::Optimizer o = options(LrScheduler::kCosineWithMinLr, 3);
  o.min_lr = kRate / 10;
  check(o, {0, 0.333333333333, 0.666666666667, 1, 0.972861679354, 0.894719999404, 0.775,
            0.62814167995, 0.47185832005, 0.325, 0.205280000596, 0.127138320646, 0.1});
}

BOOST_AUTO_TEST_CASE(inverse_sqrt) {
  check(options(LrScheduler::kInverseSqrt, 3),
        {0, 0.333333333333, 0.666666666667, 1, 0.866025403784, 0.774596669241,
         0.707106781187, 0.654653670708, 0.612372435696, 0.57735026919, 0.547722557505,
         0.522232967867, 0.5, 0.480384461415});
  // Without warm-up the time scale is 10000.
  check(options(LrScheduler::kInverseSqrt, 0),
        {1, 0.99995000375, 0.999900014998, 0.999850033742});
}

BOOST_AUTO_TEST_CASE(warmup_stable_decay) {
  check(stable_decay(DecayStyle::kLinear, kRate / 10, 5),
        {0.1, 0.4, 0.7, 1, 1, 1, 1, 1, 0.82, 0.64, 0.46, 0.28, 0.1, 0.1});
  check(stable_decay(DecayStyle::kCosine, kRate / 10, 5),
        {0.1, 0.4, 0.7, 1, 1, 1, 1, 1, 0.914057647469, 0.689057647469, 0.410942352531,
         0.185942352531, 0.1, 0.1});
  check(stable_decay(DecayStyle::kOneMinusSqrt, kRate / 10, 5),
        {0.1, 0.4, 0.7, 1, 1, 1, 1, 1, 0.59750776405, 0.43079002117, 0.302862997683,
         0.1950155281, 0.1, 0.1});
  check(stable_decay(DecayStyle::kCosine, 0, 5),
        {0, 0.333333333333, 0.666666666667, 1, 1, 1, 1, 1, 0.904508497187, 0.654508497187,
         0.345491502813, 0.0954915028125, 0, 0});
}

// Ten steps of decay do not fit behind three of warm-up: the decay begins inside the
// warm-up.
BOOST_AUTO_TEST_CASE(warmup_stable_decay_longer_than_the_run) {
  check(stable_decay(DecayStyle::kLinear, kRate / 10, 10),
        {0.1, 0.4, 0.7, 0.91, 0.82, 0.73, 0.64, 0.55, 0.46, 0.37, 0.28, 0.19, 0.1, 0.1});
}

// transformers' TrainingArguments: steps win; a ratio is rounded up.
BOOST_AUTO_TEST_CASE(warmup_ratio) {
  config::Optimizer o = options(LrScheduler::kConstantWithWarmup, 0);
  o.warmup_ratio = 0.2;  // 2.4 of 12 updates
  check(o, {0, 0.333333333333, 0.666666666667, 1, 1});
  o.warmup_steps = 2;
  check(o, {0, 0.5, 1, 1});
  o.warmup_steps = 0;
  o.warmup_ratio = 0.0;
  check(o, {1, 1});
  o.warmup_ratio = 1.0;
  check(o, {0, 1.0 / 12, 2.0 / 12});
}

BOOST_AUTO_TEST_CASE(the_reference_curves) {
  std::ifstream file(MTRAIN_SOURCE_DIR "/tests/golden/data/tiny-qwen3/curve.json");
  const auto curves = nlohmann::json::parse(file).at("curves");
  config::Optimizer o = options(LrScheduler::kCosineWithMinLr, 3);
  o.learning_rate = 1e-3;
  o.min_lr = 1e-4;
  const auto compare = [&](const char* curve) {
    const auto expected = curves.at(curve).at("lr").get<std::vector<double>>();
    BOOST_TEST(expected.size() == 20u);
    const LrSchedule schedule(o, 20);
    for (size_t i = 0; i < expected.size(); ++i) {
      BOOST_TEST(std::abs(schedule.rate(static_cast<double>(i)) - expected[i]) < 1e-15);
    }
  };
  compare("main");
  o.lr_scheduler_type = LrScheduler::kConstant;
  compare("constant_lr");
}

BOOST_AUTO_TEST_SUITE_END()
