// Writes TensorBoard's event files field by field; called by the trainer's log.
#include "mtrain/report/tensorboard.hpp"

#include <unistd.h>

#include <chrono>
#include <cstring>

#include "mtrain/base/crc32c.hpp"
#include "mtrain/base/file.hpp"
#include "mtrain/base/text.hpp"

namespace mtrain::report {
namespace {

/// Wire types of protocol buffers.
enum Wire { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

std::string varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7)
    bytes += static_cast<char>(static_cast<unsigned char>(value | 0x80));
  return bytes + static_cast<char>(value);
}

std::string key(int field, Wire wire) {
  return varint(static_cast<uint64_t>(field << 3 | wire));
}

/// The bytes of a plain number, which the formats want little-endian, as all machines
/// that this program runs on have them.
template <class Number>
std::string raw(Number value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

std::string bytes_field(int field, const std::string& content) {
  return key(field, kBytes) + varint(content.size()) + content;
}

double wall_time() {
  return std::chrono::duration<double>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

uint32_t masked_crc(const std::string& bytes) {
  const uint32_t crc = crc32c(0, bytes.data(), bytes.size());
  return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

std::string record(const std::string& event) {
  const std::string length = raw(static_cast<uint64_t>(event.size()));
  return length + raw(masked_crc(length)) + event + raw(masked_crc(event));
}

std::string host_name() {
  char name[256] = "";
  gethostname(name, sizeof name - 1);
  return name;
}

/// Fields of Event, SessionLog, Summary and Summary.Value.
namespace field {
constexpr int kWallTime = 1, kStep = 2, kFileVersion = 3, kSummary = 5, kSession = 7;
constexpr int kStatus = 1, kStart = 1;
constexpr int kValue = 1, kTag = 1, kSimpleValue = 2;
}  // namespace field

/// A new event file's path in `folder`, which is made unless it is there.
std::filesystem::path new_events(const std::filesystem::path& folder) {
  make_directory(folder);
  char seconds[32];
  std::snprintf(seconds, sizeof seconds, "%010.0f", wall_time());
  return folder / cat("events.out.tfevents.", seconds, ".", host_name(), ".", getpid());
}

}  // namespace

TensorBoardWriter::TensorBoardWriter(const std::filesystem::path& folder,
                                     int64_t done_steps)
    : file_(new_events(folder)) {
  event(0, bytes_field(field::kFileVersion, "brain.Event:2"));
  if (done_steps == 0) return;
  event(done_steps + 1, bytes_field(field::kSession, key(field::kStatus, kVarint) +
                                                         varint(field::kStart)));
}

void TensorBoardWriter::scalars(int64_t step, const std::vector<Scalar>& scalars) {
  std::string summary;
  for (const auto& [tag, value] : scalars) {
    summary += bytes_field(field::kValue, bytes_field(field::kTag, tag) +
                                              key(field::kSimpleValue, kFixed32) +
                                              raw(static_cast<float>(value)));
  }
  event(step, bytes_field(field::kSummary, summary));
}

void TensorBoardWriter::event(int64_t step, const std::string& content) {
  file_.add(record(key(field::kWallTime, kFixed64) + raw(wall_time()) +
                   key(field::kStep, kVarint) + varint(static_cast<uint64_t>(step)) +
                   content));
}

}  // namespace mtrain::report
