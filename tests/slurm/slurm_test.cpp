// The batch scripts on a real Slurm: whatever ends a job, the run goes on from its
// checkpoint and ends as the uninterrupted one.
#define BOOST_TEST_MODULE slurm
#include <boost/test/unit_test.hpp>
#include <memory>

#include "cluster.hpp"
#include "mtrain/base/error.hpp"

using namespace mtrain;
using test::Job;
using test::operator+;
using test::TinyRun;
using test::Words;
using test::words;
namespace fs = std::filesystem;

namespace {

constexpr int kSteps = 24, kSlow = 300;  // milliseconds a step
constexpr const char* kOneNode = "--replicas 2 --per-node 2";
constexpr const char* kTwoNodes = "--replicas 2 --per-node 1";

const test::Cluster& cluster() {
  static const test::Cluster one;
  return one;
}

boost::test_tools::assertion_result slurm_is_there(boost::unit_test::test_unit_id) {
  return cluster().available();
}

/// Weights and losses of the run without interruption, on two ranks like all jobs.
const std::string& expected() {
  static const std::string bytes = [] {
    const TinyRun run("slurm-whole");
    run.succeed(2, words(cat("max_steps=", kSteps)));
    return test::read_text(run.at("out") / "model.safetensors");
  }();
  return bytes;
}

/// A run in a folder of its own; starts of its job are slow unless told otherwise.
struct Case {
  explicit Case(const std::string& name) : run("slurm-" + name) {}

  Job submit(const std::string& options, const std::string& sbatch,
             int milliseconds) const {
    return {run, options,
            words(cat("max_steps=", kSteps, " save_steps=8 overwrite_output_dir=true")),
            sbatch, milliseconds};
  }
  void await_steps(const Job& job, size_t steps) const {
    job.await_steps(run.at("out"), steps);
  }
  /// The run is through, every step logged once, and the weights are those of the whole
  /// run.
  void check_result() const {
    const auto log = test::read_jsonl(run.at("out") / "trainer_log.jsonl");
    BOOST_REQUIRE(log.size() == size_t{kSteps});
    for (int i = 0; i < kSteps; ++i)
      BOOST_TEST(log[static_cast<size_t>(i)]["current_steps"] == i + 1);
    BOOST_TEST((test::read_text(run.at("out") / "model.safetensors") == expected()));
  }

  TinyRun run;
};

bool says(const Job& job, const std::string& part) {
  return job.output().find(part) != std::string::npos;
}

/// Slurm warns a job of its time limit within half a minute, so this one runs beside the
/// other cases.
struct LimitedJob {
  Case run{"limit"};
  Job job = run.submit(kOneNode, "--nodelist=n3 --time=2 --signal=B:USR1@115", 2500);
};
std::unique_ptr<LimitedJob> limited;

}  // namespace

BOOST_AUTO_TEST_SUITE(jobs, *boost::unit_test::precondition(slurm_is_there))

BOOST_AUTO_TEST_CASE(time_limit_begins) {
  limited = std::make_unique<LimitedJob>();
  limited->run.await_steps(limited->job, 1);
  limited->job.slow_down(0);
}

BOOST_AUTO_TEST_CASE(two_nodes_with_mpirun_make_way_for_a_job_that_weighs_more) {
  const Case c("preempted");
  setenv("LAUNCHER", "mpirun", 1);
  const Job job = c.submit(kTwoNodes, "--nodelist=n1,n2", kSlow);
  unsetenv("LAUNCHER");
  c.await_steps(job, 5);
  job.slow_down(0);
  test::shell(
      "sbatch --output=/dev/null --partition=high --nodelist=n1,n2 --nodes=2 "
      "--ntasks=4 --wrap 'sleep 1'");
  job.await_output("stopped with a checkpoint");
  job.await("COMPLETED");
  BOOST_TEST(says(job, "start 2 of job"), job.output());
  BOOST_TEST(says(job, "resumed from"), job.output());
  c.check_result();
}

BOOST_AUTO_TEST_CASE(two_nodes_with_srun_survive_the_loss_of_one) {
  const Case c("node");
  const Job job = c.submit(kTwoNodes, "--nodelist=n1,n2", kSlow);
  c.await_steps(job, 10);
  job.slow_down(0);
  cluster().lose("n2");
  job.await("PENDING");
  cluster().bring_back("n2");
  job.await("COMPLETED");
  BOOST_TEST(says(job, "start 2 of job"), job.output());
  c.check_result();
}

BOOST_AUTO_TEST_CASE(a_cancelled_job_stays_cancelled_and_can_be_submitted_again) {
  const Case c("cancelled");
  const Job first = c.submit(kOneNode, "--nodelist=n1", kSlow);
  c.await_steps(first, 5);
  test::shell("scancel " + first.id());
  first.await("CANCELLED");
  // That left it Slurm's KillWait for a save. With time for it, whatever the launcher:
  setenv("LAUNCHER", "mpirun", 1);
  const Job second = c.submit(kOneNode, "--nodelist=n1", kSlow);
  unsetenv("LAUNCHER");
  second.await_output("first step done");
  test::shell(cat("scancel --batch --signal=TERM ", second.id()));
  second.await("FAILED");
  BOOST_TEST(says(second, "stopped with a checkpoint, for good"), second.output());
  c.submit(kOneNode, "--nodelist=n1", 0).await("COMPLETED");
  c.check_result();
}

BOOST_AUTO_TEST_CASE(requeued_by_hand) {
  const Case c("requeued");
  const Job job = c.submit(kOneNode, "--nodelist=n2", kSlow);
  c.await_steps(job, 10);
  job.slow_down(0);
  test::shell("scontrol requeue " + job.id());
  job.await("COMPLETED");
  BOOST_TEST(says(job, "start 2 of job"), job.output());
  c.check_result();
}

BOOST_AUTO_TEST_CASE(a_chain_of_jobs_that_may_not_be_requeued) {
  const Case c("chain");
  const Job last =
      c.submit(cat(kOneNode, " --chain 2"), "--nodelist=n1 --no-requeue", kSlow);
  c.await_steps(last, 5);
  last.slow_down(0);
  const std::string first = cat(std::stoi(last.id()) - 1);
  test::shell("scancel --batch --signal=USR1 " + first);
  last.await("COMPLETED");
  const std::string said = test::read_text(c.run.at("job-" + first + ".out"));
  BOOST_TEST(said.find("the next job of the chain goes on") != std::string::npos, said);
  BOOST_TEST(says(last, "resumed from"), last.output());
  c.check_result();
}

BOOST_AUTO_TEST_CASE(faults_end_a_job_before_it_trains) {
  const Case c("faults");
  fs::remove(c.run.at("tokens.h5"));
  const Job job = c.submit(kOneNode, "--nodelist=n1", 0);
  job.await("FAILED");
  BOOST_TEST(says(job, "tokens.h5"), job.output());
  BOOST_TEST(!says(job, "mtrain ended"), job.output());
  // By the name of the node that does not see the deck.
  const Case hidden("hidden");
  const Job blind(hidden.run, kOneNode, {}, "--nodelist=n2 --hold", 0);
  fs::remove(hidden.run.at("deck.ini"));
  test::shell("scontrol release " + blind.id());
  blind.await("FAILED");
  BOOST_TEST(says(blind, "node n2: cannot read the deck"), blind.output());
}

BOOST_AUTO_TEST_CASE(time_limit_ends) {
  BOOST_REQUIRE(limited != nullptr);
  limited->job.await_output("stopped with a checkpoint");
  limited->job.await("COMPLETED");
  BOOST_TEST(says(limited->job, "start 2 of job"), limited->job.output());
  limited->run.check_result();
  limited.reset();
}

BOOST_AUTO_TEST_SUITE_END()
