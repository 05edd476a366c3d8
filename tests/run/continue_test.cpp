// The same command goes on with its own run whatever ended it, also where it may
// overwrite output_dir; and begins where it is told to.
#define BOOST_TEST_MODULE continue_run
#include <signal.h>

#include <boost/test/unit_test.hpp>
#include <thread>

#include "mtrain/base/text.hpp"
#include "mtrain/checkpoint/training_checkpoint.hpp"
#include "support/processes.hpp"
#include "tiny_run.hpp"

using namespace mtrain;
using test::operator+;
using test::Outcome;
using test::says;
using test::TinyRun;
using test::Words;
using test::words;
namespace fs = std::filesystem;

namespace {

constexpr char kProgram[] = MTRAIN_BINARY_DIR "/bin/mtrain";

std::string weights(const fs::path& folder) {
  return test::read_text(folder / "model.safetensors");
}

Words set(const std::string& key, const fs::path& value) {
  return {cat(key, "=", value.string())};
}

/// Runs that may overwrite, and what they shall end as.
struct Overwriting {
  explicit Overwriting(const std::string& name, const std::string& more)
      : run(name), keys(words("overwrite_output_dir=true " + more)) {
    run.succeed(1, keys + set("output_dir", run.at("whole")));
    expected = weights(run.at("whole"));
  }

  int64_t newest() const {
    const auto folder = checkpoint::newest_checkpoint(run.at("out"));
    return folder ? checkpoint::CheckpointReader(*folder).state().step : 0;
  }
  /// Starts the run and sends the signal once `ready` is there.
  Outcome interrupted(int signal, const fs::path& ready, const Words& more) const {
    Outcome outcome;
    std::thread job([&] { outcome = run.run(1, keys + more); });
    test::await_file(ready);
    kill(test::await_process(kProgram, run.at("deck.ini").string(), ""), signal);
    job.join();
    return outcome;
  }
  /// Starts the run with time for a few steps only, each of them slow.
  Outcome stopped_early(const Words& more) const {
    const Outcome outcome =
        run.run(1, keys + more + words("max_time=00:00:00:01"),
                {"LD_PRELOAD=" MTRAIN_SLOW_LOG, "MTRAIN_SLOW_MS=600"});
    BOOST_TEST(outcome.exit_code == 85, outcome.output);
    return outcome;
  }
  /// The same command takes it from its newest checkpoint to its end, and no further.
  void check_goes_on(const Words& more) const {
    const int64_t from = newest();
    const std::string said = run.succeed(1, keys + more);
    const std::string resumed =
        cat("resumed from ", (run.at("out") / "checkpoint-").string(), from);
    BOOST_TEST((from > 0 && says(said, resumed)), said);
    BOOST_TEST((weights(run.at("out")) == expected));
    const auto saved = [&] {
      return test::listing(*checkpoint::newest_checkpoint(run.at("out"))) +
             test::read_text(run.at("out") / "run_summary.json");
    };
    const std::string before = saved();
    BOOST_TEST(says(run.succeed(1, keys + more), "nothing to train: "));
    BOOST_TEST(saved() == before);
  }

  TinyRun run;
  Words keys;
  std::string expected;
};

}  // namespace

BOOST_AUTO_TEST_CASE(a_stop_is_no_reason_to_overwrite) {
  const Overwriting c("continue-stop", "max_steps=100 save_steps=20 logging_steps=5");
  for (const int signal : {SIGUSR1, SIGTERM}) {
    fs::remove_all(c.run.at("out"));
    const Outcome stopped = c.interrupted(signal, c.run.at("out") / "checkpoint-20", {});
    BOOST_TEST(stopped.exit_code == 85, stopped.output);
    c.check_goes_on({});
  }
}

BOOST_AUTO_TEST_CASE(neither_is_the_end_of_the_time) {
  const Overwriting c("continue-time", "max_steps=40");
  int64_t steps = 0;
  for (int start = 1; start <= 2; ++start) {
    c.stopped_early({});
    BOOST_TEST(c.newest() > steps);
    steps = c.newest();
  }
  c.check_goes_on({});
}

BOOST_AUTO_TEST_CASE(neither_is_a_death) {
  const Overwriting c("continue-kill", "max_steps=120 save_steps=40 logging_steps=1");
  // Before the first checkpoint it begins anew, after it goes on.
  const fs::path out = c.run.at("out");
  BOOST_TEST(c.interrupted(SIGKILL, out / "trainer_log.jsonl", {}).exit_code == 137);
  BOOST_TEST(c.interrupted(SIGKILL, out / "checkpoint-40", {}).exit_code == 137);
  c.check_goes_on({});
}

// Where a run begins is said once; started again it goes on with what it saved.
BOOST_AUTO_TEST_CASE(a_run_begins_once) {
  const Overwriting c("continue-begin", "max_steps=40 save_steps=30");
  const Words ways[] = {
      words("resume_from_checkpoint=none"),
      set("resume_from_checkpoint", c.run.at("whole") / "checkpoint-30")};
  for (const Words& begin : ways) {
    fs::remove_all(c.run.at("out"));
    // Of a run that began otherwise.
    c.run.succeed(1, words("max_steps=2"));
    const Outcome begun = c.stopped_early(begin);
    BOOST_TEST(says(begun.output, "checkpoints of an earlier run are removed"));
    BOOST_TEST((c.newest() > 30) == says(begin[0], "checkpoint-30"));
    c.check_goes_on(begin);
  }
}

BOOST_AUTO_TEST_CASE(another_run_is_overwritten_once) {
  const Overwriting c("continue-other", "max_steps=40 save_steps=20");
  const fs::path out = c.run.at("out");
  const Words others[] = {
      set("model_name_or_path", test::golden_model("tiny-qwen3-policy")),
      set("tokenized_path", c.run.at("others.h5"))};
  test::write_samples(c.run.at("others.h5"), test::random_samples(24, 500));
  c.run.succeed(1, c.keys);
  for (const Words& other : others) {
    const Outcome stopped = c.stopped_early(other);
    BOOST_TEST(!fs::exists(out / "checkpoint-40"));
    BOOST_TEST(says(stopped.output, " checkpoints of an earlier run are removed"));
    const std::string from =
        cat("resumed from ", (out / "checkpoint-").string(), c.newest());
    const std::string said = c.run.succeed(1, c.keys + other);
    BOOST_TEST(says(said, from), said);
  }
  // A checkpoint that cannot be read may be the run's own.
  for (const auto& folder : checkpoint::list_checkpoints(out))
    test::write_text(folder / "manifest.json", "{");
  const Outcome refused = c.run.run(1, c.keys);
  BOOST_TEST(refused.exit_code == 2, refused.output);
  BOOST_TEST(says(refused.output, "is sound"), refused.output);
  BOOST_TEST(fs::exists(out / "checkpoint-40" / "rank-00000.h5"));
}

BOOST_AUTO_TEST_CASE(leftovers_of_a_killed_run_are_its_own) {
  const TinyRun run("continue-leftovers");
  const fs::path out = run.at("out");
  fs::create_directories(out / "tokens.parts.h5");
  for (const char* name : {"tokens.h5.tmp.123", "tokens.eval.h5.tmp.4", "tokens.h5"})
    test::write_text(out / name, "");
  run.succeed(1, words("resume_from_checkpoint=none"));
  BOOST_TEST(!fs::exists(out / "tokens.h5.tmp.123"));
  BOOST_TEST(!fs::exists(out / "tokens.eval.h5.tmp.4"));
  // What is not named so is somebody's.
  fs::remove_all(out);
  fs::create_directories(out);
  test::write_text(out / "tokens.h5.tmp.12a", "");
  const Outcome refused = run.run(1, {});
  BOOST_TEST(refused.exit_code == 2, refused.output);
  BOOST_TEST(says(refused.output, "already holds other files"), refused.output);
}

BOOST_AUTO_TEST_CASE(the_check_looks_for_the_checkpoint) {
  const TinyRun run("continue-check");
  const auto check = [&](const std::string& value) {
    return run.run(1, {"--check", "resume_from_checkpoint=" + value});
  };
  BOOST_TEST(check("true").exit_code == 0);
  BOOST_TEST(check("False").exit_code == 0);
  const Outcome missing = check(run.at("none").string());
  BOOST_TEST(missing.exit_code == 2, missing.output);
  BOOST_TEST(says(missing.output, "resume_from_checkpoint: no folder"), missing.output);
  const Outcome other = check(run.at("").string());
  BOOST_TEST(other.exit_code == 2, other.output);
  BOOST_TEST(says(other.output, "has no manifest.json"), other.output);
}

BOOST_AUTO_TEST_CASE(home_is_where_the_tilde_points) {
  const TinyRun run("continue-home");
  const Words home = {"HOME=" + run.at("home").string()};
  const Outcome outcome = run.run(1, words("max_steps=0 output_dir=~/mine"), home);
  BOOST_TEST(outcome.exit_code == 0, outcome.output);
  BOOST_TEST(fs::exists(run.at("home") / "mine" / "model.safetensors"));
  BOOST_TEST(!fs::exists("~"));
}
