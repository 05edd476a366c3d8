// Times what training waits for in a save: each save's line tells how long it stood still
// and how much of that was copying. mpirun -np N save_bench FOLDER MIB TENSORS, of a
// rank's state.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "mtrain/base/error.hpp"
#include "mtrain/comm/session.hpp"
#include "train/checkpoint_saver.hpp"

namespace {

using namespace mtrain;
namespace fs = std::filesystem;

/// Matrices of which this rank alone holds the optimizer's state.
void add_params(parallel::ParamBuffer& buffer, int64_t elements, int64_t tensors) {
  constexpr int64_t kColumns = 64;
  const int64_t rows = elements / tensors / kColumns;
  for (int64_t i = 0; i < tensors; ++i) {
    const std::string name = cat("w", i);
    const parallel::Shape shape = {rows, kColumns};
    buffer.add({name,
                shape,
                {{0, {name, shape, {0, 0}, shape}}},
                parallel::Init::kNormal,
                parallel::TensorRole::kSharded,
                false},
               0);
  }
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 4) throw Error("usage: save_bench FOLDER MIB TENSORS");
  const comm::Session session(&argc, &argv);
  const fs::path dir = fs::path(argv[1]) / "save-bench";
  session.agree([&] {
    if (session.rank() == 0) fs::create_directories(dir);
  });
  const int ranks = session.world_size();
  const comm::RankGrid grid({ranks, 1, 1, 1, 1, 1});
  const auto groups = comm::make_groups(session, grid, comm::Backend::kMpi);
  parallel::ParamBuffer buffer;
  constexpr int64_t kStateBytes = 12;  // of a parameter: master weight and two moments
  add_params(buffer, (std::atoll(argv[2]) << 20) / kStateBytes * ranks,
             std::atoll(argv[3]));
  buffer.allocate({at::kBFloat16, at::kCPU, 40'000'000, ranks});
  const parallel::Optimizer optimizer(buffer, groups, {true, false, false},
                                      {0.9, 0.95, 1e-8, 0.1, 1.0});
  config::Checkpoint options{};
  options.output_dir = dir.string();
  options.async_save = true;
  options.save_total_limit = 1;
  train::CheckpointSaver saver(options, optimizer, at::kBFloat16, session);
  saver.prepare();
  for (int64_t step = 1; step <= 5; ++step) {
    checkpoint::TrainingState state;
    state.step = step;
    const fs::path before = saver.committed();
    saver.save(state, "", {});
    // In place of training; wait() would count as standing still.
    while (saver.committed() == before) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      saver.poll();
    }
  }
  session.barrier();
  if (session.rank() == 0) fs::remove_all(dir);
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "save_bench: %s\n", error.what());
  return 1;
}
