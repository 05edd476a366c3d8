// Owns the files of encoded parts: plain values in the order of struct Part, between a
// head (magic, source) and the checksum of everything before it. Read by the same build
// only.
#include "part_file.hpp"

#include <unistd.h>

#include <cstring>
#include <type_traits>

#include "mapped_file.hpp"
#include "mtrain/base/crc32c.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/base/file.hpp"

namespace mtrain::data {
namespace {

constexpr std::string_view kMagic = "mtrain-part-2";

/// Calls visit on every member in order; writing and reading share it.
template <class Visitor, class P>
void visit_part(Visitor& visit, P& part) {
  visit.value(part.stats);
  visit.list(part.facts);
  visit.value(part.faults);
  visit.texts(part.faulty);
  visit.texts(part.left_out);
  visit.samples(part.encoded.samples);
  visit.list(part.encoded.row_ends);
}

/// Values go to the file as they come: a part may be as large as memory allows.
class Writer {
 public:
  explicit Writer(const std::string& path) : file_(File::create(path)) {}

  template <class T>
  void value(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    put(&value, sizeof value);
  }
  template <class T>
  void list(const std::vector<T>& items) {
    static_assert(std::is_trivially_copyable_v<T>);
    value(items.size());
    put(items.data(), items.size() * sizeof(T));
  }
  void text(std::string_view text) {
    value(text.size());
    put(text.data(), text.size());
  }
  void texts(const std::vector<std::string>& items) {
    value(items.size());
    for (const auto& item : items) text(item);
  }
  void samples(const std::vector<Sample>& samples) {
    value(samples.size());
    for (const Sample& sample : samples) {
      list(sample.input_ids);
      list(sample.labels);
    }
  }
  void finish() {
    const uint32_t crc = crc_;
    value(crc);
    flush();
  }

 private:
  void put(const void* bytes, size_t count) {
    crc_ = crc32c(crc_, bytes, count);
    const auto* at = static_cast<const char*>(bytes);
    for (; count > kBuffer - kept_.size(); flush()) {
      const size_t fits = kBuffer - kept_.size();
      kept_.append(at, fits);
      at += fits;
      count -= fits;
    }
    kept_.append(at, count);
  }
  void flush() {
    file_.write_at(written_, kept_.data(), kept_.size());
    written_ += std::ssize(kept_);
    kept_.clear();
  }

  static constexpr size_t kBuffer = 1 << 20;
  File file_;
  std::string kept_;
  int64_t written_ = 0;
  uint32_t crc_ = 0;
};

/// Reads what Writer wrote; the checksum has told that it is whole.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  template <class T>
  void value(T& value) {
    std::memcpy(&value, take(sizeof value), sizeof value);
  }
  template <class T>
  void list(std::vector<T>& items) {
    size_t size = 0;
    value(size);
    const char* from = take(size * sizeof(T));
    items.resize(size);
    if (size > 0) std::memcpy(items.data(), from, size * sizeof(T));
  }
  void text(std::string& text) {
    size_t size = 0;
    value(size);
    text.assign(take(size), size);
  }
  void texts(std::vector<std::string>& items) {
    size_t size = 0;
    value(size);
    items.resize(size);
    for (auto& item : items) text(item);
  }
  void samples(std::vector<Sample>& samples) {
    size_t size = 0;
    value(size);
    samples.resize(size);
    for (Sample& sample : samples) {
      list(sample.input_ids);
      list(sample.labels);
    }
  }

 private:
  const char* take(size_t count) {
    MT_CHECK(count <= bytes_.size(), "a part file ends early");
    const char* at = bytes_.data();
    bytes_.remove_prefix(count);
    return at;
  }

  std::string_view bytes_;
};

// The bytes between head and checksum; nothing where the file is not whole.
std::optional<std::string_view> body_of(std::string_view bytes,
                                        const std::string& source) {
  uint32_t crc = 0;
  const size_t head = 2 * sizeof(size_t) + kMagic.size() + source.size();
  if (bytes.size() < head + sizeof crc) return std::nullopt;
  const auto body = bytes.substr(0, bytes.size() - sizeof crc);
  std::memcpy(&crc, body.data() + body.size(), sizeof crc);
  if (crc != crc32c(0, body.data(), body.size())) return std::nullopt;
  Reader reader(body);
  std::string magic, made_of;
  reader.text(magic);
  if (magic != kMagic) return std::nullopt;
  reader.text(made_of);
  if (made_of != source) return std::nullopt;
  return body.substr(head);
}

}  // namespace

void write_part(const std::string& path, const std::string& source, const Part& part) {
  const std::string temporary = cat(path, ".tmp.", ::getpid());
  try {
    Writer writer(temporary);
    writer.text(kMagic);
    writer.text(source);
    visit_part(writer, part);
    writer.finish();
    rename_file(temporary, path);
  } catch (const Error&) {
    ::unlink(temporary.c_str());
    throw;
  }
}

std::optional<Part> read_part(const std::string& path, const std::string& source) {
  if (::access(path.c_str(), F_OK) != 0) return std::nullopt;
  const MappedFile file(path);
  const auto body = body_of(file.bytes(), source);
  if (!body) return std::nullopt;
  Part part;
  Reader reader(*body);
  visit_part(reader, part);
  return part;
}

bool part_is_there(const std::string& path, const std::string& source) {
  if (::access(path.c_str(), F_OK) != 0) return false;
  return body_of(MappedFile(path).bytes(), source).has_value();
}

}  // namespace mtrain::data
