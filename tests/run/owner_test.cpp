// One run at a time owns its output: two started by mistake, ranks that MPI does not
// connect, and what an owner that died leaves.
#define BOOST_TEST_MODULE owner
#include <signal.h>

#include <boost/test/unit_test.hpp>
#include <thread>

#include "mtrain/base/text.hpp"
#include "support/processes.hpp"
#include "tiny_run.hpp"
#include "train/lock_owner.hpp"

using namespace mtrain;
using test::operator+;
using test::Outcome;
using test::says;
using test::TinyRun;
using test::Words;
using test::words;
namespace fs = std::filesystem;

namespace {

void check_refused(const Outcome& outcome, const std::string& why) {
  BOOST_TEST(outcome.exit_code == 2, outcome.output);
  BOOST_TEST(says(outcome.errors, why), outcome.output);
}

/// A run that a signal of ours shall end.
const Words kLong = words("max_steps=100000 save_steps=100000 logging_steps=1");

}  // namespace

BOOST_AUTO_TEST_CASE(the_second_of_two_runs_is_refused) {
  const TinyRun run("owner-two");
  const fs::path out = run.at("out");
  Outcome first;
  std::thread job([&] { first = run.run(2, kLong); });
  test::await_lines(out / "trainer_log.jsonl", 1);
  for (const int ranks : {1, 2})
    check_refused(run.run(ranks, kLong), "out is in use by mtrain, process ");
  kill(test::await_process(MTRAIN_BINARY_DIR "/bin/mtrain", run.at("deck.ini").string(),
                           "OMPI_COMM_WORLD_RANK=0"),
       SIGKILL);
  job.join();
  BOOST_TEST(first.exit_code != 0);
  BOOST_TEST(fs::exists(out / "mtrain.lock"));
  const std::string said = run.succeed(1, words("max_steps=2"));
  BOOST_TEST(says(said, "out is taken over from mtrain, process "), said);
  BOOST_TEST(says(said, "which is gone"), said);
  BOOST_TEST(!fs::exists(out / "mtrain.lock"));
}

// What srun does without the MPI's own way to start ranks.
BOOST_AUTO_TEST_CASE(ranks_that_mpi_does_not_connect_are_refused) {
  const TinyRun run("owner-launcher");
  for (const std::string variable :
       {"SLURM_STEP_NUM_TASKS", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE"}) {
    const Outcome outcome = run.run(1, {}, {variable + "=4"});
    check_refused(outcome, "the launcher started 4 tasks (" + variable + " = 4)");
    BOOST_TEST(says(outcome.errors, "srun --mpi=pmix"), outcome.output);
    BOOST_TEST(!fs::exists(run.at("out")));
    BOOST_TEST(run.run(1, words("--check"), {variable + "=4"}).exit_code == 0);
  }
  // The batch step of a job of four tasks; an mpirun of one rank inside a step of four.
  const Words keys = words("max_steps=1 warmup_steps=0");
  BOOST_TEST(run.run(1, keys, words("SLURM_NTASKS=4 SLURM_STEP_NUM_TASKS=1")).exit_code ==
             0);
  BOOST_TEST(run.run(1, keys, words("OMPI_COMM_WORLD_SIZE=1 SLURM_STEP_NUM_TASKS=4"))
                 .exit_code == 0);
}

BOOST_AUTO_TEST_CASE(of_runs_started_together_one_trains) {
  const TinyRun run("owner-race");
  std::vector<Outcome> outcomes(3);
  std::vector<std::thread> jobs;
  for (Outcome& outcome : outcomes)
    jobs.emplace_back([&] { outcome = run.run(1, words("max_steps=50 save_steps=10")); });
  for (std::thread& job : jobs) job.join();
  int trained = 0;
  for (const Outcome& outcome : outcomes) {
    trained += says(outcome.output, "checkpoint saved: ");
    if (outcome.exit_code != 0) check_refused(outcome, "is in use by mtrain");
  }
  BOOST_TEST(trained == 1);
  BOOST_TEST(test::read_jsonl(run.at("out") / "trainer_log.jsonl").size() == 50u);
}

// The other programs look for the same locks.
BOOST_AUTO_TEST_CASE(stores_and_folders_have_owners_too) {
  const TinyRun run("owner-tools");
  const fs::path model = MTRAIN_SOURCE_DIR "/inputs/demo/model";
  const std::string owner = train::to_text(train::this_process(), 0);
  test::write_text(run.at("dataset_info.json"), R"({"a": {"file_name": "a.json"}})");
  test::write_text(run.at("a.json"),
                   R"([{"instruction": "1", "input": "", "output": "2"}])");
  const Words deck = {run.at("deck.ini").string(),
                      "stage=sft",
                      "dataset=a",
                      cat("dataset_dir=", run.at("").string()),
                      cat("model_name_or_path=", model.string()),
                      "template=qwen3_nothink"};
  const Words prepare = deck + Words{cat("tokenized_path=", run.at("a.h5").string())};
  test::write_text(run.at("a.h5.lock"), owner);
  check_refused(test::run_program("mprep", 2, prepare), "a.h5 is in use by ");
  fs::remove(run.at("a.h5.lock"));
  test::write_text(run.at("a.h5.tmp.12"), "");
  const Outcome made = test::run_program("mprep", 1, prepare);
  BOOST_TEST(made.exit_code == 0, made.output);
  BOOST_TEST(!fs::exists(run.at("a.h5.tmp.12")));
  BOOST_TEST(!fs::exists(run.at("a.h5.lock")));

  const std::string start = run.at("start").string(), hf = run.at("hf").string();
  const Words from = {"from-hf", test::golden_model("tiny-qwen3").string(), start};
  test::write_text(start + ".lock", owner);
  check_refused(test::run_program("mconvert", 1, from), "start is in use by ");
  fs::remove(start + ".lock");
  BOOST_TEST(test::run_program("mconvert", 1, from).exit_code == 0);
  fs::create_directories(hf);
  test::write_text(run.at("hf") / "mtrain.lock", owner);
  check_refused(test::run_program("mconvert", 1, {"to-hf", start, hf}),
                "hf is in use by ");
  fs::remove(run.at("hf") / "mtrain.lock");
  BOOST_TEST(test::run_program("mconvert", 1, {"to-hf", start, hf}).exit_code == 0);
  BOOST_TEST(!fs::exists(run.at("hf") / "mtrain.lock"));
  BOOST_TEST(!fs::exists(start + ".lock"));
}
