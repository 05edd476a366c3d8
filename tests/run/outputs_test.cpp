// What a run reads and writes: regular files only, nothing written through a link, and a
// log that a full disk holds up but does not shorten.
#define BOOST_TEST_MODULE outputs
#include <sys/stat.h>

#include <boost/test/unit_test.hpp>

#include "mtrain/base/text.hpp"
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

/// Variables under which write number `number` to files with `path` in their names fails.
Words failing_write(const std::string& action, const std::string& path, int number) {
  return {"LD_PRELOAD=" MTRAIN_FAULT_SHIM, cat("MTRAIN_FAULT=", action, "@", number),
          "MTRAIN_FAULT_RANK=0", "MTRAIN_FAULT_PATH=" + path};
}

size_t rows_of(const TinyRun& run) {
  return test::read_jsonl(run.at("out") / "trainer_log.jsonl").size();
}

}  // namespace

BOOST_AUTO_TEST_CASE(rows_wait_for_room_on_the_disk) {
  const TinyRun run("outputs-full");
  const Outcome outcome =
      run.run(1, words("max_steps=6"), failing_write("short", "trainer_log.jsonl", 2));
  BOOST_TEST(outcome.exit_code == 0, outcome.output);
  BOOST_TEST(rows_of(run) == 6u);
}

BOOST_AUTO_TEST_CASE(a_log_that_is_not_whole_is_no_success) {
  const TinyRun run("outputs-cut");
  const Outcome outcome =
      run.run(2, words("max_steps=6"), failing_write("full", "trainer_log.jsonl", 2));
  BOOST_TEST(outcome.exit_code == 1, outcome.output);
  BOOST_TEST(says(outcome.output + outcome.errors, "the log of this run is not whole"));
  BOOST_TEST(fs::exists(run.at("out") / "model.safetensors"));
  BOOST_TEST(fs::exists(run.at("out") / "checkpoint-6"));
}

BOOST_AUTO_TEST_CASE(a_summary_that_cannot_be_written_is_no_success) {
  const TinyRun run("outputs-summary");
  run.succeed(1, words("max_steps=2"));
  const Outcome outcome =
      run.run(1, words("max_steps=4"), failing_write("full", "run_summary.json.tmp", 2));
  BOOST_TEST(outcome.exit_code == 1, outcome.output);
  // That of the two steps before is not left as if it were of these.
  BOOST_TEST(!fs::exists(run.at("out") / "run_summary.json"));
  BOOST_TEST(fs::exists(run.at("out") / "checkpoint-4"));
}

BOOST_AUTO_TEST_CASE(planted_links_are_not_written_through) {
  const TinyRun run("outputs-links");
  const fs::path out = run.at("out"), victim = run.at("victim");
  fs::create_directories(run.at("elsewhere"));
  for (const char* name : {"trainer_log.jsonl", "run_summary.json", "training_loss.svg",
                           "trace-step-2.json", "mtrain.lock", "runs", "logs"}) {
    fs::remove_all(out);
    fs::create_directories(out);
    test::write_text(victim, "keep me\n");
    const bool folder = !says(name, ".");
    fs::create_symlink(folder ? run.at("elsewhere") : victim, out / name);
    run.run(1, words("report_to=tensorboard log_per_rank=true plot_loss=true "
                     "profile_step=2"));
    BOOST_TEST(test::read_text(victim) == "keep me\n", name);
    BOOST_TEST(fs::is_empty(run.at("elsewhere")), name);
  }
}

BOOST_AUTO_TEST_CASE(output_dir_may_be_a_link_to_a_folder) {
  const TinyRun run("outputs-folder");
  fs::create_directories(run.at("large-disk"));
  fs::create_directory_symlink(run.at("large-disk"), run.at("out"));
  run.succeed(2, words("max_steps=2 save_steps=1 save_hf_model=true"));
  BOOST_TEST(fs::exists(run.at("large-disk") / "model.safetensors"));
  BOOST_TEST(fs::exists(run.at("large-disk") / "checkpoint-1/hf/model.safetensors"));
}

BOOST_AUTO_TEST_CASE(pipes_and_devices_are_refused_at_once) {
  const TinyRun run("outputs-pipes");
  const std::string pipe = run.at("pipe").string();
  BOOST_TEST(::mkfifo(pipe.c_str(), 0600) == 0);
  for (const std::string& odd : {pipe, std::string("/dev/zero")}) {
    for (const Words& use : {Words{odd, "--check"}, Words{run.at("deck.ini").string(),
                                                          "tokenized_path=" + odd}}) {
      const Outcome outcome = test::run_program("mtrain", 1, use);
      BOOST_TEST(outcome.exit_code == 2, outcome.output);
      BOOST_TEST(says(outcome.errors, odd), outcome.errors);
    }
  }
}
