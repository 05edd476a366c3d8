// Lines between helper threads.
#include "link.hpp"

#include <boost/test/unit_test.hpp>

using namespace mtrain::watch;

namespace {

/// The next line of `link`, waited for.
std::string line_of(Link& link) {
  for (int i = 0; i < 200; ++i) {
    link.receive();
    if (const auto line = link.next()) return *line;
    wait_for({link.socket()}, 0.01);
  }
  return "nothing";
}

}  // namespace

BOOST_AUTO_TEST_SUITE(links)

BOOST_AUTO_TEST_CASE(lines_arrive_whole) {
  Listener listener;
  auto near = connect({"127.0.0.1"}, listener.port(), 2);
  BOOST_REQUIRE(near.has_value());
  wait_for({listener.socket()}, 2);
  auto far = listener.accept();
  BOOST_REQUIRE(far.has_value());
  BOOST_TEST(!far->next().has_value());
  near->send("hello token 3");
  near->send(std::string(300000, 'x'));
  BOOST_TEST(line_of(*far) == "hello token 3");
  std::string large = "nothing";
  for (int i = 0; i < 50 && large == "nothing"; ++i) {
    near->receive();  // sends what did not fit at once
    large = line_of(*far);
  }
  BOOST_TEST(large.size() == 300000u);
  far->send("alive");
  BOOST_TEST(line_of(*near) == "alive");
  far->close();
  for (int i = 0; i < 100 && near->open(); ++i) {
    wait_for({near->socket()}, 0.01);
    near->receive();
  }
  BOOST_TEST(!near->open());
}

BOOST_AUTO_TEST_CASE(nobody_there) {
  int port = 0;
  {
    const Listener gone;
    port = gone.port();
  }
  BOOST_TEST(!connect({"127.0.0.1", "not an address"}, port, 0.5).has_value());
  BOOST_TEST(own_addresses().back() == "127.0.0.1");
}

BOOST_AUTO_TEST_SUITE_END()
