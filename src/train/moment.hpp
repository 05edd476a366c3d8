// Times of the work itself, which on a GPU runs on behind the host's back.
#pragma once

#include <c10/core/Device.h>
#include <c10/core/Event.h>

#include <optional>

namespace mtrain::train {

/// The moment at which all work given to a device so far is done. On a GPU an event
/// behind that work: what the host did meanwhile, or how late it looked, does not count.
class Moment {
 public:
  explicit Moment(at::Device device);

  /// Seconds from `earlier`, a moment of the same device, to this one; waits for both.
  double seconds_since(const Moment& earlier) const;

 private:
  double host_;  ///< monotonic seconds, on the CPU
  std::optional<c10::Event> reached_;
};

}  // namespace mtrain::train
