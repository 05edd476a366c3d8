// What a run shows people: event files, pictures, traces.
#define BOOST_TEST_MODULE report
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "mtrain/base/crc32c.hpp"
#include "mtrain/base/text.hpp"
#include "mtrain/report/pictures.hpp"
#include "mtrain/report/tensorboard.hpp"
#include "mtrain/report/trace.hpp"

using namespace mtrain;
using namespace mtrain::report;
namespace fs = std::filesystem;

namespace {

/// The bytes of the one file in the folder, which goes.
std::string written(const fs::path& folder) {
  std::ostringstream text;
  for (const auto& entry : fs::directory_iterator(folder)) {
    BOOST_TEST(entry.path().filename().string().starts_with("events.out.tfevents."));
    text << std::ifstream(entry.path(), std::ios::binary).rdbuf();
  }
  fs::remove_all(folder);
  return text.str();
}

uint32_t number(const std::string& bytes, size_t at) {
  uint32_t value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

/// The checksum as the format's description has it: rotated right by 15, plus a constant.
uint32_t masked(const std::string& bytes) {
  const uint32_t crc = crc32c(0, bytes.data(), bytes.size());
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

/// Cuts a file into its events; every checksum is compared.
std::vector<std::string> events(const std::string& bytes) {
  std::vector<std::string> result;
  for (size_t at = 0; at < bytes.size();) {
    const size_t length = number(bytes, at);
    BOOST_TEST(number(bytes, at + 4) == 0u);
    BOOST_TEST(number(bytes, at + 8) == masked(bytes.substr(at, 8)));
    result.push_back(bytes.substr(at + 12, length));
    BOOST_TEST(number(bytes, at + 12 + length) == masked(result.back()));
    at += 16 + length;
  }
  return result;
}

fs::path folder() {
  return fs::temp_directory_path() / cat("mtrain-report-", getpid());
}

size_t count(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
    ++n;
  return n;
}

}  // namespace

// The bytes of Event{wall_time = 1: double, step = 2: varint, summary = 5: {value = 1:
// {tag = 1, simple_value = 2: float}}}, spelt out.
BOOST_AUTO_TEST_CASE(event_files_byte_for_byte) {
  TensorBoardWriter(folder(), 0).scalars(300, {{"train/loss", 1.5}});
  const auto found = events(written(folder()));
  BOOST_REQUIRE(found.size() == 2u);
  BOOST_TEST(found[0].substr(9) == std::string("\x10\x00\x1a\x0d", 4) + "brain.Event:2");
  const std::string value = std::string("\x0a\x0a") + "train/loss" + "\x15" +
                            std::string("\x00\x00\xc0\x3f", 4);
  const std::string summary = std::string("\x0a\x11") + value;
  BOOST_TEST(found[1].substr(0, 1) == "\x09");
  BOOST_TEST(found[1].substr(9) == std::string("\x10\xac\x02\x2a\x13") + summary);
}

BOOST_AUTO_TEST_CASE(a_resumed_run_voids_what_came_later) {
  TensorBoardWriter(folder(), 20).scalars(21, {});
  const auto found = events(written(folder()));
  BOOST_REQUIRE(found.size() == 3u);
  // session_log = 7: {status = 1: START}, at the step that is written anew.
  BOOST_TEST(found[1].substr(9) == std::string("\x10\x15\x3a\x02\x08\x01"));
}

BOOST_AUTO_TEST_CASE(smoothing) {
  std::vector<Point> level, noisy;
  for (int i = 0; i < 100; ++i) {
    level.push_back({static_cast<double>(i), 3.0});
    noisy.push_back({static_cast<double>(i), i % 2 == 0 ? 2.0 : 4.0});
  }
  for (const Point& p : smoothed(level)) BOOST_TEST(std::abs(p.value - 3.0) < 1e-12);
  const auto calm = smoothed(noisy);
  BOOST_TEST(calm.front().value == 2.0);
  BOOST_TEST(std::abs(calm.back().value - 3.0) < 0.1);
  BOOST_TEST(smoothed({}).empty());
}

BOOST_AUTO_TEST_CASE(the_loss_curve) {
  const LossCurve curve{
      "a < b & c", {{1, 4.0}, {2, 3.0}, {3, 2.5}}, {{0, 4.5}, {3, 2.6}}};
  const std::string svg = loss_picture(curve);
  BOOST_TEST(svg.starts_with("<svg xmlns="));
  BOOST_TEST(count(svg, "<polyline") == 2u);
  BOOST_TEST(count(svg, "<circle") == 2u);
  BOOST_TEST(count(svg, "<title>step 3: 2.6</title>") == 1u);
  BOOST_TEST(count(svg, "a &lt; b &amp; c") == 1u);
  BOOST_TEST(count(svg, "nan") == 0u);
  // One point, or equal ones, still have a scale.
  BOOST_TEST(count(loss_picture({"one", {{5, 2.0}}, {}}), "nan") == 0u);
}

BOOST_AUTO_TEST_CASE(a_spike_does_not_flatten_the_curve) {
  LossCurve curve{"spike", {}, {}};
  for (int i = 1; i <= 300; ++i) curve.training.push_back({1.0 * i, 2.0 + i % 5 * 0.1});
  const std::string calm = loss_picture(curve);
  curve.training[150].value = 1e6;
  const std::string spiky = loss_picture(curve);
  for (const char* mark : {">2.0<", ">2.1<", ">2.4<"}) {
    BOOST_TEST(count(calm, mark) == 1u, mark);
    BOOST_TEST(count(spiky, mark) == 1u, mark);
  }
}

BOOST_AUTO_TEST_CASE(the_load_of_experts) {
  const std::string svg =
      load_picture("loads", {{0, {1.0, 1.0, 0.0, 2.0}}, {2, {4.0, 0, 0, 0}}});
  BOOST_TEST(count(svg, "<title>layer 2, expert 0: 4.00</title>") == 1u);
  BOOST_TEST(count(svg, "<title>layer ") == 8u);
  BOOST_TEST(count(svg, "fill=\"#b2182b\"><title>layer 2, expert 0") == 1u);
  BOOST_TEST(count(svg, "fill=\"#ffffff\"><title>layer 0, expert 0") == 1u);
}

BOOST_AUTO_TEST_CASE(a_trace_of_two_ranks) {
  const std::vector<TraceEvent> events = {{"forward", Doing::kForward, 10.5, 10.75}};
  const auto trace =
      nlohmann::json::parse(trace_of_ranks({trace_of_rank(0, "rank 0", events, 10.0),
                                            trace_of_rank(1, "rank \"1\"", {}, 10.0)}));
  const auto& list = trace["traceEvents"];
  BOOST_REQUIRE(list.size() == 3u);
  BOOST_TEST(list[0]["args"]["name"] == "rank 0");
  BOOST_TEST(list[1]["name"] == "forward");
  BOOST_TEST(list[1]["cat"] == "forward");
  BOOST_TEST(list[1]["ph"] == "X");
  BOOST_TEST(list[1]["ts"].get<double>() == 500000.0);
  BOOST_TEST(list[1]["dur"].get<double>() == 250000.0);
  BOOST_TEST(list[2]["pid"] == 1);
}
