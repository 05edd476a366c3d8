// Hears the ranks and judges; driven by rank 0's helper thread.
#include "hub.hpp"

#include <algorithm>

#include "describe.hpp"
#include "mtrain/base/text.hpp"
#include "patience.hpp"

namespace mtrain::watch {
namespace {

/// Takes the first word off.
std::string take_word(std::string& line) {
  const size_t end = std::min(line.find(' '), line.size());
  std::string word = line.substr(0, end);
  line.erase(0, std::min(end + 1, line.size()));
  return word;
}

double take_number(std::string& line) {
  return std::strtod(take_word(line).c_str(), nullptr);
}

/// After its connection broke a rank is given this long, in which mpirun mostly ends the
/// run by itself.
constexpr double kGraceAfterEnd = 3;

}  // namespace

Hub::Hub(const std::string& token, double floor, std::vector<RankName> names)
    : token_(token), floor_(floor), peers_(names.size()) {
  for (size_t rank = 0; rank < names.size(); ++rank) {
    peers_[rank].report.rank = static_cast<int>(rank);
    peers_[rank].report.name = describe(static_cast<int>(rank), names[rank]);
    peers_[rank].process = std::move(names[rank]);
  }
}

std::vector<int> Hub::sockets() const {
  std::vector<int> sockets = {listener_.socket()};
  for (const Peer& peer : peers_)
    if (peer.link && peer.link->open()) sockets.push_back(peer.link->socket());
  for (const Link& link : strangers_) sockets.push_back(link.socket());
  return sockets;
}

void Hub::welcome() {
  while (auto link = listener_.accept()) strangers_.push_back(std::move(*link));
  std::vector<Link> still;
  for (Link& link : strangers_) {
    link.receive();
    auto line = link.next();
    if (!line) {
      if (link.open()) still.push_back(std::move(link));
      continue;
    }
    const bool known = take_word(*line) == "hello" && take_word(*line) == token_;
    const auto rank = static_cast<size_t>(take_number(*line));
    if (known && rank < peers_.size()) peers_[rank].link.emplace(std::move(link));
  }
  strangers_.swap(still);
}

void Hub::hear(double seconds, const Standing& own) {
  welcome();
  for (Peer& peer : peers_)
    if (peer.link && !peer.left) hear(peer, seconds);
  Peer& self = peers_[0];
  self.report.idle = own.idle;
  self.limit = own.limit;
  self.report.last_place = own.place;
}

void Hub::hear(Peer& peer, double seconds) {
  peer.report.silent += seconds;
  peer.link->receive();
  while (const auto line = peer.link->next()) {
    peer.report.silent = 0;
    take(peer, *line);
  }
  if (peer.link->open() || peer.left) {
    peer.link->send("alive");
  } else {
    peer.report.ended = true;
    peer.since_end += seconds;
  }
}

void Hub::take(Peer& peer, const std::string& whole) {
  std::string line = whole;
  const std::string word = take_word(line);
  if (word == "beat") {
    peer.report.idle = take_number(line);
    peer.limit = take_number(line);
    peer.report.last_place = line;
  } else if (word == "moment") {
    peer.report.idle = take_number(line);
    peer.report.moment = moment_from_json(nlohmann::json::parse(line));
    peer.report.answered = true;
  } else if (word == "why") {
    peer.wants_reason = true;
  } else if (word == "dumped") {
    peer.dumped = true;
  } else if (word == "bye") {
    peer.left = true;
  }
}

void Hub::take_own(Moment moment) {
  peers_[0].report.moment = std::move(moment);
  peers_[0].report.answered = true;
}

bool Hub::silent_too_long(const Peer& peer) const {
  return peer.link && peer.report.silent > silence_limit(floor_, peer.limit);
}

bool Hub::alarmed() const {
  return std::ranges::any_of(peers_, [&](const Peer& peer) {
    if (peer.left) return false;
    return peer.report.idle > std::max(floor_, peer.limit) || silent_too_long(peer) ||
           peer.since_end > kGraceAfterEnd;
  });
}

std::optional<std::string> Hub::decide(double seconds) {
  const bool wondering = asked_ || std::ranges::any_of(peers_, [](const Peer& peer) {
                           return peer.wants_reason;
                         });
  if (!asking_ && !wondering && !alarmed()) return {};
  if (!asking_) {
    start_asking();
    return {};
  }
  asking_since_ += seconds;
  const double patience = std::clamp(floor_ / 2, 1.0, 5.0);
  const bool all = std::ranges::all_of(peers_, [](const Peer& peer) {
    return peer.report.answered || peer.left || peer.report.ended;
  });
  return all || asking_since_ > patience ? conclude() : std::nullopt;
}

void Hub::start_asking() {
  asking_ = true;
  asking_since_ = 0;
  for (Peer& peer : peers_) {
    peer.report.answered = false;
    if (peer.link) peer.link->send("tell");
  }
}

/// All answers are there. An alarm that is none any more is forgotten.
std::optional<std::string> Hub::conclude() {
  asking_ = false;
  std::vector<RankReport> reports;
  for (Peer& peer : peers_) {
    if (peer.left) continue;
    if (!peer.report.answered) peer.report.state = process_state(peer.process);
    reports.push_back(peer.report);
  }
  const Verdict verdict = judge(reports);
  for (Peer& peer : peers_) {
    if (peer.wants_reason && peer.link) peer.link->send("because " + verdict.sentence);
    peer.wants_reason = false;
  }
  if (asked_) answer_ = verdict.sentence;
  asked_ = false;
  return alarmed() ? std::optional(verdict.sentence) : std::nullopt;
}

std::optional<std::string> Hub::answer() {
  return std::exchange(answer_, std::nullopt);
}

void Hub::tell_all(const std::string& line) {
  for (Peer& peer : peers_)
    if (peer.link && !peer.left) peer.link->send(line);
}

bool Hub::all_dumped() const {
  return std::all_of(peers_.begin() + 1, peers_.end(), [](const Peer& peer) {
    return peer.dumped || peer.left || peer.report.ended || !peer.report.answered;
  });
}

}  // namespace mtrain::watch
