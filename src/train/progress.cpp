// Progress of conversions; mconvert's commands use it.
#include "progress.hpp"

#include <algorithm>

#include "mtrain/base/log.hpp"
#include "mtrain/base/text.hpp"

namespace mtrain::train {

std::string bar(double share, int width) {
  const auto filled = static_cast<size_t>(width * std::clamp(share, 0.0, 1.0));
  return cat("[", std::string(filled, '#'),
             std::string(static_cast<size_t>(width) - filled, '.'), "]");
}

Progress::Progress(std::string what, bool prints)
    : what_(std::move(what)), prints_(prints), terminal_(log::on_terminal()) {}

Progress::~Progress() {
  log::status("");
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
  log::status(cat(what_, " ", bar(share, kWidth), " ", figures));
}

}  // namespace mtrain::train
