// The occasions of saves and evaluations, and the best of the checkpoints.
#include "best_checkpoint.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>

using namespace mtrain;
using config::Strategy;
using train::BestCheckpoint;
using Extra = std::map<std::string, std::string>;

namespace {

config::Checkpoint keeping_the_best() {
  config::Checkpoint options{};
  options.load_best_model_at_end = true;
  return options;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(best_checkpoint)

BOOST_AUTO_TEST_CASE(strategies_name_the_occasions) {
  config::Checkpoint saves{};
  saves.save_steps = 3;
  saves.save_strategy = Strategy::kSteps;
  BOOST_TEST(train::save_is_due(saves, 6, false));
  BOOST_TEST(!train::save_is_due(saves, 7, true));
  saves.save_steps = 0;
  BOOST_TEST(!train::save_is_due(saves, 6, true));
  saves.save_strategy = Strategy::kEpoch;
  BOOST_TEST(train::save_is_due(saves, 7, true));
  BOOST_TEST(!train::save_is_due(saves, 7, false));
  saves.save_strategy = Strategy::kNo;
  BOOST_TEST(!train::save_is_due(saves, 6, true));

  config::Log evaluates{};
  evaluates.eval_strategy = Strategy::kSteps;
  evaluates.logging_steps = 2;
  BOOST_TEST(train::evaluation_is_due(evaluates, 4, false));
  evaluates.eval_steps = 3;
  BOOST_TEST(!train::evaluation_is_due(evaluates, 4, false));
}

BOOST_AUTO_TEST_CASE(the_least_loss_is_the_best) {
  const auto options = keeping_the_best();
  BestCheckpoint best(options);
  best.judge(2, std::nan(""));
  BOOST_TEST(!best.step().has_value());
  best.judge(4, 2.5);
  best.judge(6, 2.25);
  best.judge(8, 2.25);  // the earlier one, as in transformers
  BOOST_TEST(best.step().value() == 6);

  Extra extra;
  best.note(extra);
  BOOST_TEST(train::best_step(extra).value() == 6);
  BestCheckpoint later(options);
  later.resume(extra);
  later.judge(10, 2.5);
  BOOST_TEST(later.step().value() == 6);
  later.judge(12, 2.0);
  BOOST_TEST(later.step().value() == 12);
  BOOST_TEST(later.loss() == 2.0);
}

BOOST_AUTO_TEST_CASE(greater_may_be_better) {
  auto options = keeping_the_best();
  options.greater_is_better = true;
  BestCheckpoint best(options);
  best.judge(2, 1.0);
  best.judge(4, 3.0);
  best.judge(6, 2.0);
  BOOST_TEST(best.step().value() == 4);
}

BOOST_AUTO_TEST_CASE(nothing_is_noted_unless_asked_for) {
  const config::Checkpoint options{};
  BestCheckpoint best(options);
  best.judge(4, 2.5);
  Extra extra;
  best.note(extra);
  BOOST_TEST(extra.empty());
  BOOST_TEST(!train::best_step({{"best_step", "many"}}).has_value());
}

BOOST_AUTO_TEST_SUITE_END()
