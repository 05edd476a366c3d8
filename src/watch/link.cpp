// Sockets of the helper threads; used by the hub and its members.
#include "link.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "mtrain/base/error.hpp"

namespace mtrain::watch {
namespace {

/// Beyond this a peer that does not read loses lines.
constexpr size_t kMostUnsent = size_t{1} << 20;

int new_socket() {
  const int made = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (made < 0)
    throw Error(cat("watchdog: no socket: ", std::strerror(errno)),
                "raise the limit of open files (ulimit -n), or set hang_timeout = 0");
  return made;
}

bool connected(int made, double seconds) {
  pollfd wanted{made, POLLOUT, 0};
  if (poll(&wanted, 1, static_cast<int>(seconds * 1000)) != 1) return false;
  int fault = 0;
  socklen_t size = sizeof fault;
  return getsockopt(made, SOL_SOCKET, SO_ERROR, &fault, &size) == 0 && fault == 0;
}

}  // namespace

Link::Link(int socket) : socket_(socket) {
  const int yes = 1;
  setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  fcntl(socket_, F_SETFL, fcntl(socket_, F_GETFL) | O_NONBLOCK);
}

Link::~Link() {
  close();
}

Link::Link(Link&& other) noexcept
    : socket_(std::exchange(other.socket_, -1)),
      in_(std::move(other.in_)),
      out_(std::move(other.out_)) {}

Link& Link::operator=(Link&& other) noexcept {
  std::swap(socket_, other.socket_);
  std::swap(in_, other.in_);
  std::swap(out_, other.out_);
  return *this;
}

void Link::close() {
  if (socket_ >= 0) ::close(socket_);
  socket_ = -1;
}

void Link::send(const std::string& line) {
  if (out_.size() < kMostUnsent) out_ += line + "\n";
  flush();
}

void Link::flush() {
  while (open() && !out_.empty()) {
    const auto sent =
        ::send(socket_, out_.data(), out_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0) {
      out_.erase(0, static_cast<size_t>(sent));
    } else if (errno != EINTR) {
      return;  // full, or gone, which receive() notices
    }
  }
}

void Link::receive() {
  flush();
  char buffer[16384];
  while (open()) {
    const auto got = recv(socket_, buffer, sizeof buffer, MSG_DONTWAIT);
    if (got > 0) {
      in_.append(buffer, static_cast<size_t>(got));
    } else if (got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) {
      return close();
    } else if (errno != EINTR) {
      return;
    }
  }
}

std::optional<std::string> Link::next() {
  const size_t end = in_.find('\n');
  if (end == std::string::npos) return {};
  std::string line = in_.substr(0, end);
  in_.erase(0, end + 1);
  return line;
}

Listener::Listener() : socket_(new_socket()) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_ANY);
  const bool ready =
      bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
      listen(socket_, SOMAXCONN) == 0;
  if (ready) return;
  const std::string why = std::strerror(errno);
  ::close(socket_);
  throw Error("watchdog: cannot listen: " + why);
}

Listener::~Listener() {
  ::close(socket_);
}

int Listener::port() const {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

std::optional<Link> Listener::accept() {
  const int taken = accept4(socket_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  return taken < 0 ? std::nullopt : std::optional<Link>(std::in_place, taken);
}

std::vector<std::string> own_addresses() {
  std::vector<std::string> addresses;
  ifaddrs* first = nullptr;
  if (getifaddrs(&first) == 0) {
    const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> all(first, freeifaddrs);
    for (const ifaddrs* one = first; one; one = one->ifa_next) {
      if (!one->ifa_addr || one->ifa_addr->sa_family != AF_INET) continue;
      char text[INET_ADDRSTRLEN] = "";
      inet_ntop(AF_INET, &reinterpret_cast<sockaddr_in*>(one->ifa_addr)->sin_addr, text,
                sizeof text);
      if (std::string(text) != "127.0.0.1") addresses.emplace_back(text);
    }
  }
  addresses.emplace_back("127.0.0.1");
  return addresses;
}

std::optional<Link> connect(const std::vector<std::string>& addresses, int port,
                            double seconds) {
  for (const auto& text : addresses) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    if (inet_pton(AF_INET, text.c_str(), &address.sin_addr) != 1) continue;
    const int made = new_socket();
    const int answer =
        ::connect(made, reinterpret_cast<sockaddr*>(&address), sizeof address);
    if (answer == 0 || (errno == EINPROGRESS && connected(made, seconds)))
      return std::optional<Link>(std::in_place, made);
    ::close(made);
  }
  return {};
}

void wait_for(const std::vector<int>& sockets, double seconds) {
  std::vector<pollfd> wanted;
  for (const int one : sockets) wanted.push_back({one, POLLIN, 0});
  poll(wanted.data(), wanted.size(), static_cast<int>(seconds * 1000));
}

}  // namespace mtrain::watch
