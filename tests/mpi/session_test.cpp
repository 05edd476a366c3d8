// What ranks exchange on the host: texts, and agreement on errors.
#include "mtrain/comm/session.hpp"

#include <boost/test/unit_test.hpp>

#include "mtrain/base/error.hpp"
#include "support/session.hpp"

using namespace mtrain;
using test::session;

namespace {

/// What a rank learns from agree().
struct Learnt {
  bool threw = false, user_fault = false, on_all_ranks = false;
  std::string what, remedy;
  int exit_code = 0;
};

Learnt agree(const std::function<void()>& local) {
  try {
    session().agree(local);
  } catch (const Error& error) {
    return {true,
            dynamic_cast<const UserError*>(&error) != nullptr,
            error.on_all_ranks(),
            error.what(),
            error.remedy(),
            error.exit_code()};
  }
  return {};
}

int last() {
  return session().world_size() - 1;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(session_suite)

BOOST_AUTO_TEST_CASE(every_rank_gets_every_text) {
  const auto text = [](int rank) {
    const std::string special("\0 zero, newline\n, \xC3\xA9", 20);
    return rank == 0 ? std::string()
                     : special + std::string(static_cast<size_t>(rank), 'x');
  };
  const auto all = session().all_gather_text(text(session().rank()));
  BOOST_TEST(static_cast<int>(all.size()) == session().world_size());
  for (int r = 0; r < session().world_size(); ++r) {
    BOOST_TEST(all[static_cast<size_t>(r)] == text(r));
  }
  for (const auto& empty : session().all_gather_text("")) BOOST_TEST(empty.empty());
}

BOOST_AUTO_TEST_CASE(ranks_of_one_machine_are_counted) {
  BOOST_TEST(session().local_size() == session().world_size());
  BOOST_TEST(session().local_rank() == session().rank());
}

BOOST_AUTO_TEST_CASE(rank_0_tells_the_others) {
  const std::string text = session().broadcast_text(cat("from ", session().rank()));
  BOOST_TEST(text == "from 0");
  BOOST_TEST(session().broadcast_text(session().rank() == 0 ? "" : "noise").empty());
}

BOOST_AUTO_TEST_CASE(all_ranks_are_on_this_machine) {
  BOOST_TEST(session().local_size() == session().world_size());
}

BOOST_AUTO_TEST_CASE(agreement_without_errors) {
  int calls = 0;
  BOOST_TEST(!agree([&] { ++calls; }).threw);
  BOOST_TEST(calls == 1);
}

BOOST_AUTO_TEST_CASE(a_user_fault_on_one_rank_is_thrown_on_all) {
  const Learnt learnt = agree([] {
    if (session().rank() == last()) throw UserError("no file /a/b", "check the path");
  });
  BOOST_TEST(learnt.user_fault);
  BOOST_TEST(learnt.on_all_ranks);
  BOOST_TEST(learnt.what == cat("rank ", last(), ": no file /a/b"));
  BOOST_TEST(learnt.remedy == "check the path");
  BOOST_TEST(learnt.exit_code == static_cast<int>(kExitUserFault));
}

BOOST_AUTO_TEST_CASE(the_same_fault_on_all_ranks_names_none) {
  const Learnt learnt = agree([] { throw UserError("bad deck"); });
  BOOST_TEST(learnt.user_fault);
  BOOST_TEST(learnt.what == "bad deck");
  BOOST_TEST(learnt.remedy.empty());
}

BOOST_AUTO_TEST_CASE(of_different_faults_the_lowest_rank_is_heard) {
  const Learnt learnt = agree([] {
    if (session().rank() == 0) throw Error("disk full", "make room");
    throw UserError(cat("fault of ", session().rank()));
  });
  BOOST_TEST(learnt.threw);
  BOOST_TEST(!learnt.user_fault);
  BOOST_TEST(learnt.what == "rank 0: disk full");
  BOOST_TEST(learnt.remedy == "make room");
  BOOST_TEST(learnt.exit_code == static_cast<int>(kExitFailure));
}

BOOST_AUTO_TEST_CASE(any_exception_is_agreed_on) {
  const Learnt learnt = agree([] {
    if (session().rank() == last()) throw std::out_of_range("index 7");
  });
  BOOST_TEST(learnt.threw);
  BOOST_TEST(!learnt.user_fault);
  BOOST_TEST(learnt.what == cat("rank ", last(), ": index 7"));
}

BOOST_AUTO_TEST_CASE(an_empty_message_is_still_an_error) {
  const Learnt learnt = agree([] {
    if (session().rank() == last()) throw UserError("");
  });
  BOOST_TEST(learnt.user_fault);
}

BOOST_AUTO_TEST_SUITE_END()
