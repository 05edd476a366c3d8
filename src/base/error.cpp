// Formats broken invariants; user faults are thrown where they are found.
#include "mtrain/base/error.hpp"

namespace mtrain {

void check_failed(const char* condition, const char* file, int line,
                  const std::string& message) {
  const std::string detail = message.empty() ? "" : cat(": ", message);
  throw Error(cat("internal check failed (", condition, ") at ", file, ":", line, detail),
              "this is a defect of mtrain; please report it with the deck");
}

}  // namespace mtrain
