// Writes whole lines with one call each, so that lines of several ranks never mix.
#include "mtrain/base/log.hpp"

#include <cstdio>
#include <ctime>
#include <memory>

#include "mtrain/base/error.hpp"

namespace mtrain::log {
namespace {

Level g_level = Level::kInfo;
std::string g_prefix;

struct Closer {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
std::unique_ptr<std::FILE, Closer> g_file;

void write_line(std::FILE* stream, const std::string& line) {
  const std::string whole = line + "\n";
  std::fwrite(whole.data(), 1, whole.size(), stream);
  std::fflush(stream);
}

std::string time_of_day() {
  const std::time_t now = std::time(nullptr);
  std::tm fields{};
  localtime_r(&now, &fields);
  char text[32];
  std::strftime(text, sizeof text, "%F %T", &fields);
  return text;
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
  g_file.reset(std::fopen(path.c_str(), "ae"));
  if (!g_file) throw UserError(cat("cannot write ", path), "check output_dir");
}

void to_file(const std::string& line) {
  if (g_file) write_line(g_file.get(), cat(time_of_day(), "  ", line));
}

void info(const std::string& line) {
  to_file(line);
  if (g_level <= Level::kInfo) write_line(stdout, line);
}

void warning(const std::string& line) {
  to_file("warning: " + line);
  if (g_level <= Level::kWarning) write_line(stderr, labelled("warning", line));
}

void error(const std::string& line) {
  to_file("error: " + line);
  if (g_level <= Level::kError) write_line(stderr, labelled("error", line));
}

}  // namespace mtrain::log
