// A run that is killed anywhere while it saves, or whose storage fails there, loses no
// committed checkpoint, and the same command takes it to the same end.
// MTRAIN_SURVIVAL_POINTS: random points to try (default 3).
#define BOOST_TEST_MODULE survival
#include <ATen/ATen.h>

#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <fstream>
#include <random>
#include <thread>

#include "mtrain/base/text.hpp"
#include "mtrain/base/timer.hpp"
#include "mtrain/checkpoint/safetensors.hpp"
#include "mtrain/checkpoint/training_checkpoint.hpp"
#include "support/golden.hpp"
#include "tiny_run.hpp"

using namespace mtrain;
using test::Outcome;
using test::TinyRun;
using test::Words;
using test::words;
namespace fs = std::filesystem;

namespace {

constexpr int kRanks = 2;
constexpr int kFewPoints = 3;

/// Saves often, and with everything there is: hf/, pruning, the distributed optimizer.
Words keys() {
  return words(
      "max_steps=4 save_steps=1 save_total_limit=2 save_hf_model=true "
      "use_distributed_optimizer=true per_device_train_batch_size=2 logging_steps=1");
}

int random_points() {
  const char* wanted = std::getenv("MTRAIN_SURVIVAL_POINTS");
  return wanted ? std::atoi(wanted) : kFewPoints;
}

struct Fault {
  std::string action;
  int rank;
  long number;
};

Words variables(const Fault& fault) {
  return {"LD_PRELOAD=" MTRAIN_FAULT_SHIM,
          cat("MTRAIN_FAULT=", fault.action, "@", fault.number),
          cat("MTRAIN_FAULT_RANK=", fault.rank), "MTRAIN_FAULT_PATH=/out"};
}

/// Waits until no process works in the folder: ranks outlive a killed mpirun for a
/// moment.
void await_end(const fs::path& folder) {
  const auto busy = [&] {
    std::error_code gone;
    for (const auto& entry : fs::directory_iterator("/proc", gone)) {
      if (entry.path().filename().string() == std::to_string(getpid())) continue;
      const std::string line = test::read_text(entry.path() / "cmdline");
      if (line.find("bin/mtrain") != std::string::npos &&
          line.find(folder.string()) != std::string::npos)
        return true;
    }
    return false;
  };
  const Stopwatch clock;
  while (busy()) {
    BOOST_REQUIRE_MESSAGE(clock.seconds() < 30, "ranks live on in " << folder);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

/// The step of the last checkpoint the run said it saved, or 0.
int64_t last_saved(const std::string& output) {
  const std::string word = "checkpoint saved: ";
  int64_t step = 0;
  for (size_t at = output.find(word); at != std::string::npos;
       at = output.find(word, at + 1)) {
    const size_t dash = output.find("checkpoint-", at);
    step = std::atoll(output.c_str() + dash + std::string("checkpoint-").size());
  }
  return step;
}

/// The calls a rank makes on the output folder in a run that nothing disturbs.
Words calls_of_whole_run(const TinyRun& run, int rank) {
  const auto log = run.at("calls");
  Words counting = variables({"count", rank, 0});
  counting.push_back("MTRAIN_FAULT_LOG=" + log.string());
  const Outcome whole = run.run(kRanks, keys(), counting);
  BOOST_REQUIRE_MESSAGE(whole.exit_code == 0, whole.output);
  Words calls;
  std::ifstream in(log);
  for (std::string line; std::getline(in, line);) calls.push_back(line);
  return calls;
}

class Survival {
 public:
  explicit Survival(const std::string& name) : run_(name) {
    calls_ = calls_of_whole_run(run_, 0);
    expected_ = tensors();
    BOOST_REQUIRE(calls_.size() > 200u);
  }

  /// The call of rank 0 that begins with `call` and has `part` in its path, of the save
  /// of step 3: older checkpoints are there, and one is pruned.
  long find(const std::string& call, const std::string& part) const {
    for (size_t i = 0; i < calls_.size(); ++i)
      if (calls_[i].starts_with(call) && calls_[i].find(part) != std::string::npos)
        return static_cast<long>(i);
    BOOST_FAIL("no call " << call << " of " << part);
    return -1;
  }
  long calls() const { return static_cast<long>(calls_.size()); }

  /// Runs into the fault, then checks what is left and goes on.
  Outcome check(const Fault& fault) {
    fs::remove_all(run_.at("out"));
    const Outcome broken = run_.run(kRanks, keys(), variables(fault));
    BOOST_TEST_CONTEXT(fault.action << " at call " << fault.number << " of rank "
                                    << fault.rank << ":\n"
                                    << broken.output) {
      await_end(run_.at("deck.ini"));
      int64_t newest = 0;
      for (const auto& folder : checkpoint::list_checkpoints(run_.at("out"))) {
        const checkpoint::CheckpointReader reader(folder);
        BOOST_TEST(reader.verify(0, 1).empty());
        check_exported(folder / "hf");
        newest = std::max(newest, reader.state().step);
      }
      BOOST_TEST(newest >= last_saved(broken.output));
      const Outcome again = run_.run(kRanks, keys());
      BOOST_REQUIRE_MESSAGE(again.exit_code == 0, again.output);
      const std::string from = cat(run_.at("out").string(), "/checkpoint-", newest);
      const bool resumed = again.output.find("resumed from " + from) != std::string::npos;
      const bool complete = again.output.find("nothing to train: ") != std::string::npos;
      BOOST_TEST((newest == 0 || resumed || complete), again.output);
      BOOST_TEST(tensors() == expected_);
      for (const auto& entry : fs::recursive_directory_iterator(run_.at("out")))
        BOOST_TEST(!entry.path().string().ends_with(".tmp"));
    }
    return broken;
  }

 private:
  /// What lies in a committed checkpoint is whole, too.
  static void check_exported(const fs::path& hf) {
    const auto weights = checkpoint::open_safetensors(hf);
    for (const auto& info : weights->tensors()) test::whole(*weights, info.name);
    for (const char* name : {"config.json", "generation_config.json"})
      BOOST_TEST(nlohmann::json::accept(test::read_text(hf / name)), hf / name);
  }

  std::string tensors() const {
    return test::read_text(run_.at("out") / "model.safetensors");
  }

  TinyRun run_;
  std::vector<std::string> calls_;
  std::string expected_;
};

}  // namespace

// Files of a save are made, written, forced to disk and renamed beside training only.
BOOST_AUTO_TEST_CASE(training_waits_for_no_file) {
  for (int rank = 0; rank < kRanks; ++rank) {
    const TinyRun run(cat("survival-threads-", rank));
    size_t beside = 0;
    for (const auto& call : calls_of_whole_run(run, rank)) {
      if (call.find("/checkpoint-") == std::string::npos ||
          call.find(".tmp") == std::string::npos)
        continue;
      BOOST_TEST(call.ends_with("(other thread)"), call);
      ++beside;
    }
    BOOST_TEST(beside > 50u);
  }
}

BOOST_AUTO_TEST_CASE(killed_at_each_point_of_the_protocol) {
  Survival survival("survival-named");
  const std::vector<std::pair<std::string, std::string>> points = {
      {"mkdir", "checkpoint-3.tmp"},
      {"create", "checkpoint-3.tmp/rank-00000.h5"},
      {"truncate", "checkpoint-3.tmp/rank-00000.h5"},
      {"fsync", "checkpoint-3.tmp/rank-00000.h5"},
      {"rename", "checkpoint-3.tmp/hf/model.safetensors"},
      {"create", "checkpoint-3.tmp/manifest.json"},
      {"fsync", "checkpoint-3.tmp/manifest.json"},
      {"rename", "out/checkpoint-3 ("},
      {"open", "checkpoint-3/manifest.json"},
      {"rename", "checkpoint-1.tmp"},
      {"unlink", "checkpoint-1.tmp/rank-00000.h5"},
      {"rename", "out/model.safetensors"}};
  const Words actions = {"kill", "kill-all", "kill-parent"};
  // All of them where time is no matter, else every other one.
  for (size_t i = 0; i<points.size(); i += random_points()> kFewPoints ? 1 : 2) {
    const long number = survival.find(points[i].first, points[i].second);
    const Outcome broken = survival.check({actions[i % 3], 0, number});
    BOOST_TEST(broken.exit_code != 0);
  }
}

BOOST_AUTO_TEST_CASE(killed_at_random_points) {
  Survival survival("survival-random");
  std::mt19937 random(11);
  const Words actions = {"kill", "kill-all", "kill-parent"};
  for (int i = 0; i < random_points(); ++i) {
    const auto rank = static_cast<int>(random() % kRanks);
    const auto number = static_cast<long>(random() % survival.calls());
    survival.check({actions[static_cast<size_t>(i) % 3], rank, number});
  }
}

// On either rank, while it saves: all end, with the same reason, and not with 0.
BOOST_AUTO_TEST_CASE(failing_storage_ends_the_run) {
  Survival survival("survival-storage");
  struct Case {
    std::string action, reason;
    int rank;
    std::string call, part;
  };
  const std::vector<Case> cases = {
      {"28", "No space left on device", 1, "write", "checkpoint-2.tmp/rank-00000.h5"},
      {"full", "No space left on device", 0, "write", "checkpoint-2.tmp/hf"},
      {"5", "Input/output error", 0, "fsync", "checkpoint-2.tmp/rank-00000.h5"},
      {"30", "Read-only file system", 0, "mkdir", "checkpoint-2.tmp"},
      {"5", "Input/output error", 0, "fsync", "checkpoint-3.tmp/manifest.json"},
      {"28", "No space left on device", 0, "rename", "out/checkpoint-4 ("}};
  for (size_t i = 0; i<cases.size(); i += random_points()> kFewPoints ? 1 : 2) {
    const Case& c = cases[i];
    // Rank 1 makes the same calls for its own file.
    const Outcome broken =
        survival.check({c.action, c.rank, survival.find(c.call, c.part)});
    BOOST_TEST(broken.exit_code == 1, broken.output);
    BOOST_TEST(broken.output.find(c.reason) != std::string::npos, broken.output);
    BOOST_TEST(broken.output.find("/out/checkpoint-") != std::string::npos,
               broken.output);
  }
}
