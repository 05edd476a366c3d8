// Keeps what the main thread tells of itself; communicators, the executor, the model and
// the trainer call it.
#include "mtrain/base/activity.hpp"

#include <algorithm>

#include "mtrain/base/error.hpp"
#include "mtrain/base/timer.hpp"

namespace mtrain {
namespace {

/// Operations of a lane that are kept: as many as may be under way, with some room.
constexpr size_t kKept = 64;

template <class Enum, size_t n>
std::string word(const char* const (&words)[n], Enum value) {
  return words[static_cast<size_t>(value)];
}

}  // namespace

std::string to_string(Phase phase) {
  static const char* const words[] = {"setup", "step", "evaluation", "save", "finish"};
  return word(words, phase);
}

std::string to_string(Doing doing) {
  static const char* const words[] = {"other", "data",          "forward",  "backward",
                                      "wait",  "communication", "optimizer"};
  return word(words, doing);
}

std::string to_string(OperationKind kind) {
  static const char* const words[] = {"all-reduce", "reduce-scatter", "all-gather",
                                      "broadcast",  "all-to-all",     "send",
                                      "receive",    "meeting"};
  return word(words, kind);
}

std::string to_string(const Task& task) {
  std::string text = task.what;
  if (task.chunk >= 0) text += cat(" of chunk ", task.chunk);
  if (task.micro_batch >= 0) text += cat(" for micro-batch ", task.micro_batch);
  return text;
}

Operation* LaneRecord::find(int64_t number) {
  const int64_t index = number - started + static_cast<int64_t>(last.size());
  const bool kept = index >= 0 && number < started;
  return kept ? &last[static_cast<size_t>(index)] : nullptr;
}

const Operation* LaneRecord::find(int64_t number) const {
  return const_cast<LaneRecord*>(this)->find(number);
}

Activity::Activity() : since_(monotonic_seconds()) {}

Doing Activity::doing() const {
  if (now_.waits) {
    const Lane& lane = now_.lanes[static_cast<size_t>(now_.waits->first)].lane;
    return lane.is_channel() ? Doing::kWait : Doing::kCommunication;
  }
  return tasks_.empty() ? Doing::kOther : tasks_.back().doing;
}

/// Adds the time since the last call to what was done in it. Every change comes here.
void Activity::account() {
  const double now = monotonic_seconds();
  if (now_.phase == Phase::kStep) times_[static_cast<size_t>(doing())] += now - since_;
  since_ = now;
  ++ticks_;
}

void Activity::phase(Phase phase) {
  const std::lock_guard lock(mutex_);
  account();
  now_.phase = phase;
}

void Activity::step(int64_t step) {
  const std::lock_guard lock(mutex_);
  account();
  now_.step = step;
  now_.marks = 0;
}

void Activity::layer(int index) {
  const std::lock_guard lock(mutex_);
  account();
  now_.layer = index;
  ++now_.marks;
}

void Activity::begin(const Task& task) {
  const std::lock_guard lock(mutex_);
  account();
  tasks_.push_back(task);
  now_.layer = -1;
  begun_.push_back(since_);
  ++now_.marks;
}

void Activity::end() {
  const std::lock_guard lock(mutex_);
  account();
  const Task& task = tasks_.back();
  finish_event(to_string(task), task.doing, begun_.back());
  tasks_.pop_back();
  now_.layer = -1;
  begun_.pop_back();
}

int Activity::add_lane(const Lane& lane) {
  const std::lock_guard lock(mutex_);
  now_.lanes.push_back({lane});
  return static_cast<int>(now_.lanes.size()) - 1;
}

int64_t Activity::starts(int lane, OperationKind kind, int64_t elements) {
  const std::lock_guard lock(mutex_);
  account();
  LaneRecord& record = now_.lanes[static_cast<size_t>(lane)];
  if (record.last.size() == kKept) record.last.erase(record.last.begin());
  record.last.push_back({kind, elements, false});
  return record.started++;
}

void Activity::waits(int lane, int64_t number) {
  const std::lock_guard lock(mutex_);
  account();
  now_.waits = {lane, number};
  wait_begun_ = since_;
}

void Activity::waited(int lane, int64_t number, bool done) {
  const std::lock_guard lock(mutex_);
  account();
  LaneRecord& record = now_.lanes[static_cast<size_t>(lane)];
  Operation* operation = record.find(number);
  if (operation && done) operation->done = true;
  if (!now_.waits) return;
  const Doing kind = doing();
  now_.waits.reset();
  if (!tracing_) return;
  const std::string name = operation ? to_string(operation->kind) : "operation";
  finish_event(cat("wait for ", name, " in ", record.lane.group), kind, wait_begun_);
}

void Activity::finish_event(const std::string& name, Doing doing, double begin) {
  if (tracing_) trace_.push_back({name, doing, begin, since_});
}

DoingTimes Activity::times() {
  const std::lock_guard lock(mutex_);
  account();
  return times_;
}

void Activity::start_trace() {
  const std::lock_guard lock(mutex_);
  tracing_ = true;
  trace_.clear();
}

std::vector<TraceEvent> Activity::take_trace() {
  const std::lock_guard lock(mutex_);
  tracing_ = false;
  return std::move(trace_);
}

Activity::Progress Activity::progress() const {
  const std::lock_guard lock(mutex_);
  return {ticks_, now_.phase, now_.step};
}

Moment Activity::moment() const {
  const std::lock_guard lock(mutex_);
  Moment moment = now_;
  for (const Task& task : tasks_) moment.tasks.push_back(to_string(task));
  moment.lanes.clear();
  for (size_t i = 0; i < now_.lanes.size(); ++i) {
    if (now_.lanes[i].started == 0) continue;
    if (now_.waits && static_cast<size_t>(now_.waits->first) == i)
      moment.waits->first = static_cast<int>(moment.lanes.size());
    moment.lanes.push_back(now_.lanes[i]);
  }
  return moment;
}

}  // namespace mtrain
