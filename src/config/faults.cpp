// Owns the list of faults and how it is printed; filled by readers and rules.
#include "entry.hpp"
#include "mtrain/base/error.hpp"

namespace mtrain::config {

std::string shown(const std::string& text) {
  constexpr size_t kLongest = 80;
  std::string out;
  for (const char c : text.substr(0, kLongest)) {
    const auto byte = static_cast<unsigned char>(c);
    out += byte < 0x20 || byte == 0x7f ? '?' : c;
  }
  // A cut must not leave half of a UTF-8 character at the end.
  if (text.size() > kLongest) {
    while (!out.empty() && (static_cast<unsigned char>(out.back()) & 0xc0) == 0x80) {
      out.pop_back();
    }
    if (!out.empty() && static_cast<unsigned char>(out.back()) >= 0xc0) out.pop_back();
    out += "...";
  }
  return out;
}

void Faults::add(const std::string& place, const std::string& message,
                 const std::string& suggestion) {
  if (full()) {
    ++more_;
    return;
  }
  std::string line = place.empty() ? message : cat(place, ": ", message);
  if (!suggestion.empty()) line += "; " + suggestion;
  for (const std::string& known : lines_) {
    if (known == line) return;
  }
  lines_.push_back(std::move(line));
}

void Faults::throw_if_any(const std::string& what) const {
  if (lines_.empty()) return;
  const size_t all = lines_.size() + more_;
  const std::string count = all == 1 ? std::string("1 fault") : cat(all, " faults");
  const std::string rest = more_ == 0 ? "" : cat("\n  and ", more_, " more");
  throw UserError(cat(count, " in ", what, ":\n  ", join(lines_, "\n  "), rest),
                  "every key is described by --help and in docs/deck.md");
}

}  // namespace mtrain::config
