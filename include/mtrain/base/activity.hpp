// What a rank is doing: told by its main thread as it goes, read by timers, by the trace
// of a step and by the watchdog's thread.
#pragma once

#include <array>
#include <cstdint>
#include <exception>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

namespace mtrain {

/// The parts of a run that take time of their own kind.
enum class Phase { kSetup, kStep, kEvaluation, kSave, kFinish };
inline constexpr int kPhases = 5;
std::string to_string(Phase phase);

/// What a step's time is spent on.
enum class Doing {
  kOther,
  kData,
  kForward,
  kBackward,
  kWait,
  kCommunication,
  kOptimizer
};
inline constexpr int kDoings = 7;
std::string to_string(Doing doing);

/// Something the main thread does, for people: "forward of chunk 0 for micro-batch 3".
struct Task {
  Doing doing = Doing::kOther;
  const char* what = "";
  int chunk = -1, micro_batch = -1;  ///< -1: of none
};
std::string to_string(const Task& task);

enum class OperationKind {
  kAllReduce,
  kReduceScatter,
  kAllGather,
  kBroadcast,
  kAllToAll,
  kSend,
  kReceive,
  kMeeting,  ///< all ranks exchange text on the host
};
std::string to_string(OperationKind kind);

/// One ordered stream of operations: the collectives of a group, or the sends (or the
/// receives) of one channel. Ranks are those of the world.
struct Lane {
  std::string group;
  std::vector<int> ranks;
  int from = -1, to = -1, tag = 0;  ///< of a channel
  bool receives = false;

  bool is_channel() const { return from >= 0; }
  auto key() const { return std::tie(group, ranks, from, to, tag, receives); }
};

struct Operation {
  OperationKind kind;
  int64_t elements;
  bool done;  ///< over, as far as the host can know; of a GPU's it never knows
};

/// A lane and what this rank has started on it: operations 0 to started - 1, of which the
/// last few are kept.
struct LaneRecord {
  Lane lane;
  int64_t started = 0;
  std::vector<Operation> last = {};  ///< ends with operation started - 1

  /// Operation `number`, if it is among those kept.
  const Operation* find(int64_t number) const;
  Operation* find(int64_t number);
};

/// A moment of a rank's life.
struct Moment {
  Phase phase = Phase::kSetup;
  int64_t step = 0;                ///< the last one begun
  int64_t marks = 0;               ///< places passed since it began: equal on alike ranks
  int layer = -1;                  ///< the last one entered in this task
  std::vector<std::string> tasks;  ///< from the outermost to the innermost
  std::optional<std::pair<int, int64_t>> waits;  ///< for operation n of lane i
  std::vector<LaneRecord> lanes;
};

/// One bar of a trace; seconds of the monotonic clock.
struct TraceEvent {
  std::string name;
  Doing doing;
  double begin, end;
};

using DoingTimes = std::array<double, kDoings>;

/// Written by the main thread; the members named so may be called by any.
class Activity {
 public:
  Activity();

  void phase(Phase phase);
  void step(int64_t step);
  void layer(int index);
  void begin(const Task& task);
  void end();

  int add_lane(const Lane& lane);
  /// Notes that an operation starts; its number on the lane.
  int64_t starts(int lane, OperationKind kind, int64_t elements);
  void waits(int lane, int64_t number);
  /// The wait is over. `done`: so is the operation.
  void waited(int lane, int64_t number, bool done);

  /// Seconds spent in steps so far, by what they went into.
  DoingTimes times();

  void start_trace();
  std::vector<TraceEvent> take_trace();

  struct Progress {
    int64_t ticks;  ///< grows with everything the main thread tells
    Phase phase;
    int64_t step;
  };
  /// Any thread may ask these two.
  Progress progress() const;
  Moment moment() const;

 private:
  void account();
  Doing doing() const;
  void finish_event(const std::string& name, Doing doing, double begin);

  mutable std::mutex mutex_;
  Moment now_;  ///< without its tasks, with all lanes
  std::vector<Task> tasks_;
  int64_t ticks_ = 0;
  DoingTimes times_{};
  double since_;
  std::vector<double> begun_;  ///< of tasks_
  double wait_begun_ = 0;
  bool tracing_ = false;
  std::vector<TraceEvent> trace_;
};

/// A task while it lives. Left by an exception it stays, so that one can still tell where
/// the rank failed; so do the other ranges.
class ActivityRange {
 public:
  ActivityRange(Activity& activity, const Task& task) : activity_(activity) {
    activity_.begin(task);
  }
  ~ActivityRange() {
    if (exceptions_ == std::uncaught_exceptions()) activity_.end();
  }
  ActivityRange(const ActivityRange&) = delete;
  ActivityRange& operator=(const ActivityRange&) = delete;

 private:
  Activity& activity_;
  int exceptions_ = std::uncaught_exceptions();
};

/// A phase while it lives; then the one before again.
class PhaseRange {
 public:
  PhaseRange(Activity& activity, Phase phase)
      : activity_(activity), before_(activity.progress().phase) {
    activity_.phase(phase);
  }
  ~PhaseRange() {
    if (exceptions_ == std::uncaught_exceptions()) activity_.phase(before_);
  }
  PhaseRange(const PhaseRange&) = delete;
  PhaseRange& operator=(const PhaseRange&) = delete;

 private:
  Activity& activity_;
  Phase before_;
  int exceptions_ = std::uncaught_exceptions();
};

}  // namespace mtrain
