// Writes whole lines with one call each, so that lines of several ranks never mix; every
// layer logs through it.
#include "mtrain/base/log.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <ctime>
#include <filesystem>
#include <mutex>
#include <optional>

#include "mtrain/base/journal.hpp"
#include "mtrain/base/text.hpp"

namespace mtrain::log {
namespace {

Level g_level = Level::kInfo;
std::string g_prefix;

std::optional<Journal> g_file;

std::string g_status;
std::mutex g_mutex;  ///< of file, console and status line: several threads log

void put(std::FILE* stream, const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stream);
  std::fflush(stream);
}

size_t terminal_width() {
  winsize size{};
  const bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : 80;
}

/// Draws the status line, or an empty one over it.
void draw(const std::string& status) {
  // The last column stays free: some terminals wrap when it is written.
  put(stdout, "\r\033[K" + status.substr(0, terminal_width() - 1));
}

/// A line of its own, also where a status line is drawn.
void write_line(std::FILE* stream, const std::string& line) {
  if (!g_status.empty()) draw("");
  put(stream, line + "\n");
  if (!g_status.empty()) draw(g_status);
}

std::string now(const char* format) {
  const std::time_t seconds = std::time(nullptr);
  std::tm fields{};
  localtime_r(&seconds, &fields);
  char text[32];
  std::strftime(text, sizeof text, format, &fields);
  return text;
}

void add_to_file(const std::string& line) {
  if (g_file) g_file->add(cat(now("%F %T"), "  ", line, "\n"));
}

std::string labelled(const char* label, const std::string& line) {
  return g_prefix.empty() ? cat(label, ": ", line)
                          : cat(label, " (", g_prefix, "): ", line);
}

}  // namespace

void set_level(Level level) {
  g_level = level;
}
Level level() {
  return g_level;
}
void set_prefix(std::string prefix) {
  g_prefix = std::move(prefix);
}

void open_file(const std::string& path) {
  g_file.emplace(path);
}

void to_file(const std::string& line) {
  const std::lock_guard lock(g_mutex);
  add_to_file(line);
}

void info(const std::string& line) {
  const std::lock_guard lock(g_mutex);
  add_to_file(line);
  if (g_level <= Level::kInfo) write_line(stdout, line);
}

void event(const std::string& line) {
  const std::lock_guard lock(g_mutex);
  add_to_file(line);
  if (g_level <= Level::kInfo) write_line(stdout, cat(now("%T"), "  ", line));
}

void warning(const std::string& line) {
  const std::lock_guard lock(g_mutex);
  add_to_file("warning: " + line);
  if (g_level <= Level::kWarning) write_line(stderr, labelled("warning", line));
}

void error(const std::string& line) {
  const std::lock_guard lock(g_mutex);
  add_to_file("error: " + line);
  if (g_level <= Level::kError) write_line(stderr, labelled("error", line));
}

bool on_terminal() {
  if (isatty(STDOUT_FILENO) == 0) return false;
  std::error_code error;
  const auto parent = cat("/proc/", getppid(), "/fd/1");
  const std::string target = std::filesystem::read_symlink(parent, error).string();
  return !error && target.rfind("/dev/", 0) == 0 && target != "/dev/null";
}

void status(const std::string& line) {
  static const bool terminal = on_terminal();
  const std::lock_guard lock(g_mutex);
  if (!terminal || g_level > Level::kInfo || line == g_status) return;
  g_status = line;
  draw(g_status);
}

}  // namespace mtrain::log
