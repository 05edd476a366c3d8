// Steps that are not finite, copies that diverged, requests to stop.
#include <ATen/ATen.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cmath>
#include <csignal>
#include <thread>

#include "comm/solo_communicator.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/base/log.hpp"
#include "mtrain/base/stop_request.hpp"
#include "replica_check.hpp"
#include "step_guard.hpp"
#include "stop_vote.hpp"

using namespace mtrain;
using namespace mtrain::train;

namespace {

const double kNan = std::nan(""), kInf = INFINITY;

config::Train options(config::NonFiniteStep on_nonfinite, int64_t limit) {
  config::Train train{};
  train.on_nonfinite_step = on_nonfinite;
  train.max_nonfinite_steps = limit;
  return train;
}

bool names(const Error& error, const std::string& part) {
  return std::string(error.what()).find(part) != std::string::npos;
}

/// A buffer of two parameters, "first" (3 x 2) and "second" (4).
void fill(parallel::ParamBuffer& buffer) {
  for (const auto& [name, shape] :
       {std::pair<std::string, parallel::Shape>{"first", {3, 2}}, {"second", {4}}}) {
    const parallel::Box box{name, shape, parallel::Shape(shape.size(), 0), shape};
    buffer.add({name,
                shape,
                {{0, box}},
                parallel::Init::kOnes,
                parallel::TensorRole::kReplicated,
                false},
               0);
  }
  buffer.allocate({at::kFloat, at::kCPU, 1000, 1});
  for (const auto& p : buffer.params()) p->weight.fill_(1);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(guards)

BOOST_AUTO_TEST_CASE(stop_ends_at_the_first) {
  StepGuard guard(options(config::NonFiniteStep::kStop, 3), 7);
  BOOST_TEST(guard.accepts(8, 1.0, 2.0, ""));
  BOOST_TEST(guard.updates() == 8);
  for (const auto& [loss, norm] : {std::pair{kNan, 1.0}, {1.0, kInf}, {-kInf, kNan}})
    BOOST_CHECK_EXCEPTION(guard.accepts(9, loss, norm, "rank 2: layers.3.mlp"), Error,
                          [](const Error& error) {
                            return names(error, "step 9") &&
                                   names(error, "rank 2: layers.3.mlp") &&
                                   error.exit_code() == kExitFailure;
                          });
  BOOST_TEST(guard.updates() == 8);
}

BOOST_AUTO_TEST_CASE(skip_goes_on_until_several_in_a_row) {
  log::set_level(log::Level::kError);
  StepGuard guard(options(config::NonFiniteStep::kSkip, 3), 0);
  for (int64_t step = 1; step <= 30; ++step) {
    const bool bad = step % 3 != 0;  // two of three, never three in a row
    BOOST_TEST(guard.accepts(step, bad ? kNan : 1.0, 1.0, "") == !bad);
  }
  BOOST_TEST(guard.updates() == 10);
  BOOST_TEST(guard.skipped() == 20);
  BOOST_TEST(!guard.accepts(31, kNan, 1, ""));
  BOOST_TEST(!guard.accepts(32, kNan, 1, ""));
  BOOST_CHECK_EXCEPTION(guard.accepts(33, kNan, 1, ""), Error, [](const Error& error) {
    return names(error, "3. such step in a row");
  });
  log::set_level(log::Level::kInfo);
}

BOOST_AUTO_TEST_CASE(the_place_is_the_last_parameter_of_the_forward_pass) {
  parallel::ParamBuffer buffer;
  fill(buffer);
  BOOST_TEST(first_nonfinite_gradient(buffer) == "");
  buffer.params()[0]->grad[1][1] = kNan;
  BOOST_TEST(first_nonfinite_gradient(buffer) == "first");
  buffer.params()[1]->grad[2] = kInf;
  BOOST_TEST(first_nonfinite_gradient(buffer) == "second");
  BOOST_TEST(nonfinite_places({"", ""}) == "");
  BOOST_TEST(nonfinite_places({"", "second"}) ==
             "gradients not finite from rank 1: second on");
  const std::string many = nonfinite_places(std::vector<std::string>(20, "x"));
  BOOST_TEST(many.find("12 more ranks") != std::string::npos, many);
}

BOOST_AUTO_TEST_CASE(a_diverged_copy_is_named) {
  std::vector<std::string> sums;
  for (int rank = 0; rank < 3; ++rank) {
    parallel::ParamBuffer buffer;
    fill(buffer);
    sums.push_back(weight_checksums(buffer));
  }
  BOOST_TEST(diverged(sums).empty());
  for (int bit = 0; bit < 32; ++bit) {
    parallel::ParamBuffer buffer;
    fill(buffer);
    auto* word = reinterpret_cast<uint32_t*>(buffer.params()[1]->weight.data_ptr());
    word[3] ^= 1U << bit;
    const auto lines = diverged({sums[0], sums[1], weight_checksums(buffer)});
    BOOST_REQUIRE(lines.size() == 1u);
    BOOST_TEST(lines[0] == "rank 2: second[0:4] differs from most copies");
    // Of two copies nobody knows which is right.
    BOOST_TEST(diverged({sums[0], weight_checksums(buffer)}).size() == 2u);
  }
}

BOOST_AUTO_TEST_CASE(what_one_rank_holds_is_not_compared) {
  BOOST_TEST(diverged({"a[0:2]\t1\n", "a[2:4]\t2\n"}).empty());
  BOOST_TEST(diverged({"a[0:2]\t1\nb\t5\n", "a[2:4]\t2\nb\t6\n"}).size() == 2u);
}

BOOST_AUTO_TEST_CASE(signals_only_set_a_flag) {
  for (const int signal : {SIGTERM, SIGUSR1}) {
    listen_for_stop();
    BOOST_TEST(!stop_requested());
    throw_if_stop_requested();
    std::raise(signal);
    BOOST_TEST(stop_requested());
    BOOST_CHECK_EXCEPTION(throw_if_stop_requested(), StopRequested,
                          [](const Error& e) { return e.exit_code() == kExitRequeue; });
    stop_listening();
    BOOST_TEST(!stop_requested());
  }
}

BOOST_AUTO_TEST_CASE(a_second_signal_of_a_kind_ends_the_process) {
  using Signals = std::vector<int>;
  const auto pause = [] { std::this_thread::sleep_for(std::chrono::milliseconds(300)); };
  const auto ended_by = [&](const Signals& signals) {
    const pid_t child = fork();
    if (child == 0) {
      listen_for_stop();
      for (const int signal : signals) signal == 0 ? pause() : void(std::raise(signal));
      _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  };
  BOOST_TEST(ended_by({SIGTERM, 0, SIGTERM}) == SIGTERM);
  BOOST_TEST(ended_by({SIGUSR1, 0, SIGUSR1}) == SIGUSR1);
  // One request by two ways; Slurm's warning and its end of the time limit.
  BOOST_TEST(ended_by({SIGTERM, SIGTERM, SIGTERM}) == 0);
  BOOST_TEST(ended_by({SIGUSR1, 0, SIGTERM}) == 0);
}

BOOST_AUTO_TEST_CASE(time_is_up_before_the_limit) {
  BOOST_TEST(!time_is_up(80, 4, 15, 100));
  BOOST_TEST(time_is_up(80, 6, 15, 100));
  BOOST_TEST(time_is_up(101, 0, 0, 100));
}

BOOST_AUTO_TEST_CASE(a_vote_counts_what_weighs_most) {
  comm::SoloCommunicator alone("world");
  listen_for_stop();
  StopVote vote(std::nullopt, alone);
  BOOST_TEST((vote.result() == Stop::kNo));  // before the first
  vote.start(1e9);
  BOOST_TEST((vote.result() == Stop::kNo));
  StopVote limited(config::Duration{3600}, alone);
  limited.start(0);
  BOOST_TEST((limited.result() == Stop::kNo));
  limited.start(3600);  // the save needs all the time there is
  BOOST_TEST((limited.result() == Stop::kTimeIsUp));
  std::raise(SIGUSR1);
  limited.start(3600);
  BOOST_TEST((limited.result() == Stop::kRequested));
  stop_listening();
}

BOOST_AUTO_TEST_SUITE_END()
