// A toy training loop over real groups, with the watchdog, in which one rank misbehaves.
// stalling_ranks FAULT RANK STEP PLACE TP PP STEPS FLOOR: at the PLACE-th chance of step
// STEP rank RANK does FAULT (stop, kill, skip, shape, reader, spin or none). "slow":
// every rank now and then needs four times as long for a step.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <signal.h>

#include <cstdio>
#include <cstdlib>
#include <random>
#include <thread>

#include "mtrain/base/error.hpp"
#include "mtrain/parallel/executor.hpp"
#include "mtrain/watch/watchdog.hpp"

using namespace mtrain;

namespace {

void sleep_ms(double milliseconds) {
  std::this_thread::sleep_for(std::chrono::duration<double, std::milli>(milliseconds));
}

/// What goes wrong, and when.
class Fault {
 public:
  Fault(char** argv, int rank)
      : kind_(argv[1]),
        mine_(std::atoi(argv[2]) == rank),
        step_(std::atoi(argv[3])),
        place_(std::atoi(argv[4])) {}

  void begin_step(int64_t step) {
    step_now_ = step;
    chances_ = 0;
  }
  /// Whether this is where `kind` strikes.
  bool strikes(const std::string& kind) {
    return kind == kind_ && mine_ && step_now_ == step_ && chances_++ == place_;
  }
  bool slow() const { return kind_ == "slow"; }

 private:
  std::string kind_;
  bool mine_;
  int64_t step_, step_now_ = 0;
  int place_, chances_ = 0;
};

constexpr int kLayers = 3, kMicroBatches = 4;
constexpr int64_t kWidth = 16;

class Toy : public parallel::PipelineModel {
 public:
  Toy(const comm::ProcessGroups& groups, Fault& fault) : groups_(groups), fault_(fault) {}

  at::Tensor forward(int, int micro_batch, const at::Tensor& input) override {
    at::Tensor x = input.defined() ? input : at::ones({1 + micro_batch, kWidth});
    for (int layer = 0; layer < kLayers; ++layer) x = run_layer(layer, x);
    const bool last = groups_.pipeline->rank() + 1 == groups_.pipeline->size();
    return last ? at::Tensor() : x;
  }

  at::Tensor backward(int, int micro_batch, const at::Tensor& grad) override {
    at::Tensor x = grad.defined() ? grad : at::ones({1 + micro_batch, kWidth});
    for (int layer = kLayers; layer-- > 0;) x = run_layer(layer, x);
    return groups_.pipeline->rank() == 0 ? at::Tensor() : x;
  }

  at::Tensor empty_activation(int micro_batch) const override {
    return at::empty({1 + micro_batch, kWidth});
  }

  /// x summed over a group, unless the fault has it otherwise.
  void reduce(comm::Communicator& group, const at::Tensor& x) {
    if (group.size() > 1 && fault_.strikes("skip")) return;
    if (group.size() > 1 && fault_.strikes("shape"))
      return group.all_reduce(at::ones({x.numel() + kWidth}), comm::Reduce::kSum);
    group.all_reduce(x, comm::Reduce::kSum);
  }

 private:
  at::Tensor run_layer(int layer, const at::Tensor& input) {
    groups_.activity->layer(layer);
    if (fault_.strikes("stop")) raise(SIGSTOP);
    if (fault_.strikes("kill")) raise(SIGKILL);
    while (fault_.strikes("spin")) sleep_ms(1e9);
    sleep_ms(0.2);
    const at::Tensor x = input.mul(0.5);
    reduce(*groups_.tensor, x);
    return x;
  }

  const comm::ProcessGroups& groups_;
  Fault& fault_;
};

void train(const comm::Session& session, const comm::ProcessGroups& groups, Fault& fault,
           int64_t steps) {
  Activity& activity = session.activity();
  const PhaseRange phase(activity, Phase::kStep);
  Toy toy(groups, fault);
  const int stage = groups.pipeline->rank();
  const parallel::ScheduleShape shape{groups.pipeline->size(), 1, kMicroBatches, true};
  std::mt19937 random(static_cast<unsigned>(session.rank()));
  for (int64_t step = 1; step <= steps; ++step) {
    activity.step(step);
    fault.begin_step(step);
    {
      const ActivityRange range(activity, {Doing::kData, "reading of data"});
      if (fault.strikes("reader")) sleep_ms(1e9);
      if (fault.slow() && random() % 20 == 0) sleep_ms(4 * 6.0);
      toy.reduce(*groups.data, at::ones({3}));
    }
    run_schedule(parallel::training_schedule(shape, stage), shape, toy, *groups.pipeline,
                 activity);
    const ActivityRange range(activity, {Doing::kOptimizer, "optimizer"});
    toy.reduce(*groups.data, at::ones({100}));
    toy.reduce(*groups.world, at::ones({2}));
    session.all_gather_text("");
  }
}

int run(const comm::Session& session, char** argv) {
  const comm::RankGrid grid(
      {session.world_size(), std::atoi(argv[5]), 1, 1, 1, std::atoi(argv[6])});
  const auto groups = make_groups(session, grid, comm::Backend::kMpi);
  Fault fault(argv, session.rank());
  watch::Watchdog watchdog(session, {std::atof(argv[8]), argv[9]});
  try {
    train(session, groups, fault, std::atoi(argv[7]));
  } catch (const comm::CommunicationError& error) {
    std::fprintf(stderr, "%s\nhang: %s\n", error.what(), watchdog.explain().c_str());
    session.abort(1);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  at::set_num_threads(1);
  const comm::Session session(&argc, &argv);
  return run(session, argv);
}
