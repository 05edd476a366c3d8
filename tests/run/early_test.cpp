// Signals that come at any moment before a program has something to save: it ends with
// the code that asks for another start, and that goes on.
#define BOOST_TEST_MODULE early
#include <signal.h>

#include <boost/test/unit_test.hpp>
#include <thread>

#include "mtrain/base/text.hpp"
#include "support/processes.hpp"
#include "tiny_run.hpp"

using namespace mtrain;
using test::Outcome;
using test::TinyRun;
using test::Words;
namespace fs = std::filesystem;

namespace {

/// Waits until the process has a handler for the signal: the system has loaded its
/// libraries, and nothing of its own has run but that.
void await_handler(pid_t process, int signal) {
  const std::string status = cat("/proc/", process, "/status"), field = "SigCgt:";
  uint64_t caught = 0;
  for (int look = 0; look < 5000 && !(caught >> (signal - 1) & 1); ++look) {
    const std::string text = test::read_text(status);
    const size_t at = text.find(field);
    if (at != std::string::npos)
      caught = std::strtoull(text.c_str() + at + field.size(), nullptr, 16);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

/// Sends the signal so many milliseconds after the program can hear it.
Outcome signalled(const std::string& program, const Words& arguments, int signal,
                  int milliseconds) {
  Outcome outcome;
  std::thread job([&] { outcome = test::run_program(program, 1, arguments); });
  const pid_t process =
      test::await_process(cat(MTRAIN_BINARY_DIR "/bin/", program), arguments.back(), "");
  await_handler(process, signal);
  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
  kill(process, signal);
  job.join();
  return outcome;
}

constexpr int kMoments[] = {0, 100, 400};

/// 85, or 0 where it was faster; never the signal's own code. The same command goes on.
/// `place` is what the program makes.
void check(const std::string& program, const Words& arguments, const fs::path& place) {
  int asked = 0;
  for (const int moment : kMoments) {
    fs::remove_all(place);
    const int signal = moment == kMoments[1] ? SIGTERM : SIGUSR1;
    const Outcome outcome = signalled(program, arguments, signal, moment);
    BOOST_TEST_CONTEXT(program << " after " << moment << " ms: " << outcome.output) {
      const bool stopped = outcome.exit_code == 85;
      BOOST_TEST((stopped || outcome.exit_code == 0));
      if (stopped) {
        ++asked;
        BOOST_TEST(outcome.output.find("stopped by request") != std::string::npos);
        BOOST_TEST(test::run_program(program, 1, arguments).exit_code == 0);
      }
      BOOST_TEST(fs::exists(place));
    }
  }
  BOOST_TEST(asked > 0);
}

}  // namespace

BOOST_AUTO_TEST_CASE(training) {
  const TinyRun run("early-train");
  check("mtrain", {"max_steps=20", "save_steps=5", run.at("deck.ini").string()},
        run.at("out"));
}

BOOST_AUTO_TEST_CASE(preparation_and_conversion) {
  const TinyRun run("early-tools");
  const std::string demo = MTRAIN_SOURCE_DIR "/inputs/demo/";
  check("mprep",
        {"stage=sft", "dataset=demo_tasks", "dataset_dir=" + demo + "data",
         "template=qwen3_nothink", "model_name_or_path=" + demo + "model",
         cat("tokenized_path=", run.at("a.h5").string()), run.at("deck.ini").string()},
        run.at("a.h5"));
  check("mconvert",
        {"from-hf", test::golden_model("tiny-qwen3").string(), run.at("start").string()},
        run.at("start"));
}
