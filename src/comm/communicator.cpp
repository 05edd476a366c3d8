// What is common to all backends of Communicator.
#include "mtrain/comm/communicator.hpp"

namespace mtrain::comm {

void finish(Pending& pending) {
  if (!pending) return;
  pending->wait();
  pending.reset();
}

}  // namespace mtrain::comm
