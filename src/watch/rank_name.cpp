// Looks up processes of this machine; used by the helper threads.
#include "rank_name.hpp"

#include <unistd.h>

#include <fstream>

#include "mtrain/base/text.hpp"

namespace mtrain::watch {

RankName own_name() {
  char host[256] = "";
  gethostname(host, sizeof host - 1);
  return {host, getpid()};
}

std::string to_text(const RankName& name) {
  return cat(name.process, " ", name.host);
}

RankName name_from_text(const std::string& text) {
  RankName name;
  std::istringstream(text) >> name.process >> name.host;
  return name;
}

std::string describe(int rank, const RankName& name) {
  return cat("rank ", rank, " (host ", name.host, ", process ", name.process, ")");
}

std::string process_state(const RankName& name) {
  if (name.host != own_name().host || access("/proc/self/stat", R_OK) != 0) return "";
  std::ifstream in(cat("/proc/", name.process, "/stat"));
  std::string text;
  std::getline(in, text);
  // The state follows the program's name, which is in parentheses and may hold blanks.
  const auto end = text.rfind(')');
  if (end == std::string::npos || end + 2 >= text.size()) return "gone";
  switch (text[end + 2]) {
    case 'T':
    case 't':
      return "stopped";
    case 'Z':
    case 'X':
      return "dead";
    case 'D':
      return "held by the system, as when a disk does not answer";
    default:
      return "at work or asleep";
  }
}

}  // namespace mtrain::watch
