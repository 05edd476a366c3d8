// Who owns a lock, whether it lives, and what becomes of the lock of one that does not.
#include "output_lock.hpp"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <fstream>
#include <sstream>
#include <thread>

#include "lock_owner.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/base/timer.hpp"

namespace mtrain::train {
namespace {

namespace fs = std::filesystem;

constexpr OutputLock::Times kQuick{0.05, 0.4};

struct Place {
  Place() { fs::remove_all(folder), fs::create_directories(folder); }
  ~Place() { fs::remove_all(folder); }

  std::string text() const {
    std::ostringstream text;
    text << std::ifstream(file).rdbuf();
    return text.str();
  }
  void write(const std::string& text) const { std::ofstream(file) << text; }
  /// Why it cannot be taken; "" where it can.
  std::string refusal() const {
    try {
      const OutputLock lock(file, "the folder", kQuick);
      return "";
    } catch (const UserError& error) {
      return error.what();
    }
  }

  fs::path folder = fs::temp_directory_path() / cat("mtrain-lock-", getpid());
  fs::path file = folder / kFolderLock;
};

/// This process, as seen from another machine.
LockOwner elsewhere() {
  LockOwner owner = this_process();
  owner.host = "n7";
  owner.machine = "another";
  return owner;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(output_lock)

BOOST_AUTO_TEST_CASE(an_owner_survives_as_text) {
  LockOwner owner = this_process();
  owner.host = "a \"b\"\n";
  const auto read = owner_from_text(to_text(owner, 3));
  BOOST_REQUIRE(read.has_value());
  BOOST_TEST(read->host == owner.host);
  BOOST_TEST(read->process == getpid());
  BOOST_TEST(read->id == owner.id);
  BOOST_TEST(to_text(owner, 3).size() == to_text(owner, 123456789).size());
  BOOST_TEST(owner.id != this_process().id);
  for (const char* text :
       {"", "{", "[]", "{\"process\":1}", "{\"process\":\"x\",\"id\":\"1\"}"})
    BOOST_TEST(!owner_from_text(text).has_value());
}

BOOST_AUTO_TEST_CASE(life_is_told_where_it_can_be) {
  BOOST_TEST((life_of(this_process()) == Life::kAlive));
  BOOST_TEST((life_of(elsewhere()) == Life::kUnknown));
  LockOwner earlier = this_process();  // of the same number
  earlier.started = "1";
  BOOST_TEST((life_of(earlier) == Life::kGone));
  const pid_t child = fork();
  if (child == 0) _exit(0);
  LockOwner dead = this_process();
  dead.process = child;
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  BOOST_TEST((life_of(dead) == Life::kGone));  // not waited for yet
  waitpid(child, nullptr, 0);
  BOOST_TEST((life_of(dead) == Life::kGone));
  // A start of the same job after it.
  setenv("SLURM_JOB_ID", "7", 1);
  LockOwner before = elsewhere();
  BOOST_TEST((life_of(before) == Life::kUnknown));
  setenv("SLURM_RESTART_COUNT", "1", 1);
  BOOST_TEST((life_of(before) == Life::kGone));
  unsetenv("SLURM_JOB_ID");
  unsetenv("SLURM_RESTART_COUNT");
}

BOOST_AUTO_TEST_CASE(one_at_a_time) {
  const Place place;
  {
    const OutputLock lock(place.file, "the folder", kQuick);
    const std::string said = place.refusal();
    BOOST_TEST(said.find("the folder is in use by ") == 0u, said);
    BOOST_TEST(said.find(cat("process ", getpid(), " on host ")) != std::string::npos);
    const std::string before = place.text();
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    BOOST_TEST(place.text() != before);  // a sign of life
    BOOST_TEST(place.text().size() == before.size());
  }
  BOOST_TEST(!fs::exists(place.file));
  BOOST_TEST(place.refusal() == "");
}

BOOST_AUTO_TEST_CASE(a_dead_owner_is_followed) {
  const Place place;
  LockOwner dead = this_process();
  dead.started = "1";
  for (const std::string& left : {to_text(dead, 4), to_text(elsewhere(), 4),
                                  std::string(), std::string("no lock")}) {
    place.write(left);
    BOOST_TEST(place.refusal() == "");
    BOOST_TEST(fs::is_empty(place.folder));
  }
}

BOOST_AUTO_TEST_CASE(an_owner_elsewhere_shows_that_it_lives) {
  const Place place;
  const LockOwner other = elsewhere();
  place.write(to_text(other, 0));
  std::thread lives([&] {
    for (int beat = 1; beat < 12; ++beat) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      place.write(to_text(other, beat));
    }
  });
  const std::string said = place.refusal();
  lives.join();
  BOOST_TEST(said.find("host n7") != std::string::npos, said);
  BOOST_TEST(fs::exists(place.file));
}

BOOST_AUTO_TEST_CASE(what_is_somebody_elses_stays) {
  const Place place;
  const pid_t child = fork();
  if (child == 0) {
    const OutputLock lock(place.file, "the folder", kQuick);
    place.write(to_text(elsewhere(), 0));  // taken over meanwhile
    std::this_thread::sleep_for(std::chrono::seconds(10));
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  BOOST_TEST(WEXITSTATUS(status) == kExitFailure);
  BOOST_TEST(place.text().find("n7") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_lock_is_no_link_and_needs_a_folder) {
  const Place place;
  fs::create_symlink(place.folder / "victim", place.file);
  BOOST_CHECK_THROW(OutputLock(place.file, "the folder", kQuick), UserError);
  BOOST_TEST(!fs::exists(place.folder / "victim"));
  BOOST_CHECK_THROW(OutputLock(place.folder / "no" / "lock", "it", kQuick), UserError);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mtrain::train
