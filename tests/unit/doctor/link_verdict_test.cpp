// What the doctor says of measured links: slow ones are faults on quiet machines, doubts
// on busy ones, and each kind of link is compared with its own.
#define BOOST_TEST_MODULE doctor
#include "link_verdict.hpp"

#include <boost/test/unit_test.hpp>

using namespace mtrain;
using namespace mtrain::doctor;

namespace {

const std::vector<std::string> kHosts = {"a", "a", "b", "b"}, kQuiet = {"", "", "", ""};

/// Links between all ranks: `inside` bytes a second on one machine, `between` elsewhere.
std::vector<Link> links(double inside, double between) {
  std::vector<Link> all;
  for (size_t from = 0; from < kHosts.size(); ++from)
    for (size_t to = 0; to < kHosts.size(); ++to) {
      const bool same = kHosts[from] == kHosts[to];
      if (from != to) all.push_back({same ? inside : between, from, to, same});
    }
  return all;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_network_is_slower_than_memory) {
  BOOST_TEST(slow_links(links(5e9, 1e8)).empty());
  BOOST_TEST(!judge_links(links(5e9, 1e8), kHosts, kQuiet).is_fault());
}

BOOST_AUTO_TEST_CASE(a_slow_link_is_named) {
  auto some = links(5e9, 1e9);
  some[1].speed = 1e8;  // from 0 to 2
  const Finding found = judge_links(some, kHosts, kQuiet);
  BOOST_TEST(found.is_fault());
  BOOST_TEST(found.text.find("from rank 0 on a to rank 2 on b") != std::string::npos,
             found.text);
  BOOST_TEST(found.remedy.find("network") != std::string::npos, found.remedy);
}

BOOST_AUTO_TEST_CASE(a_busy_machine_is_no_fault) {
  auto some = links(5e9, 1e9);
  some[0].speed = 1e8;
  const Finding found = judge_links(some, kHosts, {"", "9 processes on 2 cores", "", ""});
  BOOST_TEST(!found.is_fault());
  BOOST_TEST(found.doubtful);
  BOOST_TEST(found.text.find("9 processes on 2 cores") != std::string::npos, found.text);
  BOOST_TEST(judge_links(some, kHosts, {"", "", "busy", "busy"}).is_fault());
}
