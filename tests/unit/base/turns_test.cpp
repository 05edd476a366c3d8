// Two tasks in turns: their order, their ends, and errors thrown in either.
#include "mtrain/base/turns.hpp"

#include <boost/test/unit_test.hpp>
#include <stdexcept>
#include <string>

using mtrain::Turns;

namespace {

/// Appends `letter` and hands over, `times` times.
Turns::Task writes(Turns& turns, std::string& text, char letter, int times) {
  return [&turns, &text, letter, times] {
    for (int i = 0; i < times; ++i) {
      text += letter;
      turns.hand_over();
    }
  };
}

/// Appends `letter` when destroyed.
struct Mark {
  std::string& text;
  char letter;
  ~Mark() { text += letter; }
};

std::string written(int first, int second) {
  Turns turns;
  std::string text;
  turns.run(writes(turns, text, 'a', first), writes(turns, text, 'b', second));
  return text;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(turns)

BOOST_AUTO_TEST_CASE(tasks_alternate_and_the_longer_one_ends_alone) {
  BOOST_TEST(written(3, 3) == "ababab");
  BOOST_TEST(written(1, 4) == "abbbb");
  BOOST_TEST(written(4, 1) == "abaaa");
  BOOST_TEST(written(0, 2) == "bb");
  BOOST_TEST(written(2, 0) == "aa");
}

BOOST_AUTO_TEST_CASE(outside_a_run_nothing_happens) {
  Turns turns;
  turns.hand_over();
  std::string text;
  for (int i = 0; i < 3; ++i)
    turns.run(writes(turns, text, 'a', 2), writes(turns, text, 'b', 2));
  turns.hand_over();
  BOOST_TEST(text == "abababababab");
}

BOOST_AUTO_TEST_CASE(an_error_of_either_task_comes_out_and_unwinds_the_other) {
  for (const bool in_first : {true, false}) {
    Turns turns;
    std::string text;
    const auto fails = [&] {
      const Mark mark{text, 'f'};
      turns.hand_over();
      throw std::runtime_error("lost");
    };
    const auto waits = [&] {
      const Mark mark{text, 'w'};
      for (int i = 0; i < 9; ++i) turns.hand_over();
      text += '!';
    };
    const auto run = [&] {
      in_first ? turns.run(fails, waits) : turns.run(waits, fails);
    };
    BOOST_CHECK_EXCEPTION(run(), std::runtime_error, [](const auto& error) {
      return std::string(error.what()) == "lost";
    });
    BOOST_TEST(text == "fw");
    text.clear();
    turns.run(writes(turns, text, 'a', 1), writes(turns, text, 'b', 1));
    BOOST_TEST(text == "ab");
  }
}

BOOST_AUTO_TEST_CASE(a_task_that_fails_at_once_keeps_the_other_from_starting) {
  Turns turns;
  bool started = false;
  BOOST_CHECK_THROW(turns.run([] { throw 1; }, [&] { started = true; }), int);
  BOOST_TEST(!started);
}

BOOST_AUTO_TEST_CASE(errors_caught_inside_a_task_stay_there) {
  Turns turns;
  int caught = 0;
  const auto task = [&] {
    for (int i = 0; i < 3; ++i) {
      try {
        turns.hand_over();
        throw i;
      } catch (int) {
        ++caught;
      }
      turns.hand_over();
    }
  };
  turns.run(task, task);
  BOOST_TEST(caught == 6);
}

BOOST_AUTO_TEST_SUITE_END()
