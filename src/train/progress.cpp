// Progress of conversions; mconvert's commands use it.
#include "progress.hpp"

#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "mtrain/base/log.hpp"
#include "mtrain/base/text.hpp"

namespace mtrain::train {

bool on_terminal() {
  if (isatty(STDOUT_FILENO) == 0) return false;
  std::error_code error;
  const auto parent = cat("/proc/", getppid(), "/fd/1");
  const std::string target = std::filesystem::read_symlink(parent, error).string();
  return !error && target.rfind("/dev/", 0) == 0 && target != "/dev/null";
}

Progress::Progress(std::string what, bool prints)
    : what_(std::move(what)), prints_(prints), terminal_(on_terminal()) {}

Progress::~Progress() {
  if (drawn_) std::puts("");
}

void Progress::update(int64_t done, int64_t total) {
  constexpr double kBarSeconds = 0.1, kLineSeconds = 10;
  const bool due = since_print_.seconds() > (terminal_ ? kBarSeconds : kLineSeconds);
  if (!prints_ || total == 0 || (!due && !(terminal_ && done == total))) return;
  since_print_.restart();
  const double share = static_cast<double>(done) / static_cast<double>(total);
  const std::string figures =
      cat(static_cast<int>(100 * share), "% of ", human_bytes(static_cast<double>(total)),
          ", ", human_bytes(static_cast<double>(done) / since_start_.seconds()), "/s");
  if (!terminal_) return log::info(cat(what_, ": ", figures));
  constexpr int kWidth = 30;
  const auto filled = static_cast<size_t>(kWidth * share);
  std::printf("\r\033[K%s [%s%s] %s", what_.c_str(), std::string(filled, '#').c_str(),
              std::string(kWidth - filled, '.').c_str(), figures.c_str());
  std::fflush(stdout);
  drawn_ = true;
}

}  // namespace mtrain::train
