// Age of the process; the trainer says how long a start took.
#include "mtrain/base/timer.hpp"

#include <unistd.h>

#include <ctime>
#include <fstream>
#include <sstream>
#include <string>

namespace mtrain {

double seconds_since_process_start() {
  std::ifstream in("/proc/self/stat");
  std::string text;
  std::getline(in, text);
  // The program's name, in parentheses, may hold blanks: fields are counted behind it.
  const auto name_end = text.rfind(')');
  if (name_end == std::string::npos) return 0;
  std::istringstream fields(text.substr(name_end + 1));
  std::string field;
  constexpr int kStartTime = 22, kFirstBehindName = 3;
  for (int i = kFirstBehindName; i <= kStartTime; ++i) fields >> field;
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  const double started =
      std::strtod(field.c_str(), nullptr) / static_cast<double>(sysconf(_SC_CLK_TCK));
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec) -
         started;
}

}  // namespace mtrain
