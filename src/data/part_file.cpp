// Owns the files of encoded parts: plain values in the order of struct Part, between a
// head (magic, source) and a hash of everything before it. Read by the same build only.
#include "part_file.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <type_traits>

#include "mapped_file.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/data/content_hash.hpp"

namespace mtrain::data {
namespace {

constexpr std::string_view kMagic = "mtrain-part-1";

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

class Writer {
 public:
  template <class T>
  void value(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  template <class T>
  void list(const std::vector<T>& items) {
    static_assert(std::is_trivially_copyable_v<T>);
    value(items.size());
    bytes_.append(reinterpret_cast<const char*>(items.data()), items.size() * sizeof(T));
  }
  void text(std::string_view text) {
    value(text.size());
    bytes_.append(text);
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
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

/// Reads what Writer wrote; the hash has told that it is whole.
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

uint64_t hash_of(std::string_view bytes) {
  ContentHash hash;
  hash.add(bytes);
  return hash.value();
}

std::string head_of(const std::string& source) {
  Writer head;
  head.text(kMagic);
  head.text(source);
  return head.bytes();
}

// The bytes between head and hash; nothing where the file is not whole.
std::optional<std::string_view> body_of(std::string_view bytes,
                                        const std::string& source) {
  const std::string head = head_of(source);
  uint64_t hash = 0;
  if (bytes.size() < head.size() + sizeof hash || !bytes.starts_with(head))
    return std::nullopt;
  const auto body = bytes.substr(0, bytes.size() - sizeof hash);
  std::memcpy(&hash, body.data() + body.size(), sizeof hash);
  if (hash != hash_of(body)) return std::nullopt;
  return body.substr(head.size());
}

}  // namespace

void write_part(const std::string& path, const std::string& source, const Part& part) {
  Writer writer;
  visit_part(writer, part);
  const std::string all = head_of(source) + writer.bytes();
  const uint64_t hash = hash_of(all);
  const std::string temporary = cat(path, ".tmp.", ::getpid());
  std::ofstream file(temporary, std::ios::binary);
  file.write(all.data(), static_cast<std::streamsize>(all.size()));
  file.write(reinterpret_cast<const char*>(&hash), sizeof hash);
  file.close();
  if (!file || std::rename(temporary.c_str(), path.c_str()) != 0) {
    const int error = errno;
    ::unlink(temporary.c_str());
    throw Error(cat("cannot write ", path, ": ", std::strerror(error)),
                "check free space and permissions of its folder");
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
