// Writes whole lines with one call each, so that lines of several ranks never mix.
#include "mtrain/base/log.hpp"

#include <cstdio>

#include "mtrain/base/text.hpp"

namespace mtrain::log {
namespace {

Level g_level = Level::kInfo;
std::string g_prefix;

void write_line(std::FILE* stream, const std::string& line) {
  const std::string whole = line + "\n";
  std::fwrite(whole.data(), 1, whole.size(), stream);
  std::fflush(stream);
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

void info(const std::string& line) {
  if (g_level <= Level::kInfo) write_line(stdout, line);
}

void warning(const std::string& line) {
  if (g_level <= Level::kWarning) write_line(stderr, labelled("warning", line));
}

void error(const std::string& line) {
  if (g_level <= Level::kError) write_line(stderr, labelled("error", line));
}

}  // namespace mtrain::log
