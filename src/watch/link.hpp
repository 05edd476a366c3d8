// Lines of text over TCP between helper threads.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace mtrain::watch {

/// One connection; carries lines without line breaks in them.
class Link {
 public:
  explicit Link(int socket);
  ~Link();
  Link(Link&& other) noexcept;
  Link& operator=(Link&& other) noexcept;

  int socket() const { return socket_; }
  bool open() const { return socket_ >= 0; }
  /// Never waits; a peer that does not read loses lines, whole ones.
  void send(const std::string& line);
  /// Reads what has come, without waiting; notices when the peer has closed.
  void receive();
  /// The next whole line that has come.
  std::optional<std::string> next();
  void close();

 private:
  void flush();

  int socket_;
  std::string in_, out_;
};

/// Waits for connections.
class Listener {
 public:
  /// At a port the system chooses. Throws Error.
  Listener();
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  int socket() const { return socket_; }
  int port() const;
  /// A connection that waits to be taken, if there is one.
  std::optional<Link> accept();

 private:
  int socket_;
};

/// The IPv4 addresses of this machine, the loopback last.
std::vector<std::string> own_addresses();

/// Connects to the first of the addresses that answers within `seconds` each; nothing
/// when none does.
std::optional<Link> connect(const std::vector<std::string>& addresses, int port,
                            double seconds);

/// Waits until one of the sockets can be read or `seconds` are over.
void wait_for(const std::vector<int>& sockets, double seconds);

}  // namespace mtrain::watch
