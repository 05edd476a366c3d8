// What the tests of this folder share: scratch folders, tensors, files made by hand.
#pragma once

#include <ATen/ATen.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

#include "mtrain/base/error.hpp"
#include "mtrain/checkpoint/tensor_source.hpp"
#include "mtrain/parallel/box.hpp"

namespace mtrain::checkpoint::test {

namespace fs = std::filesystem;
using parallel::Box;
using parallel::Shape;

/// A folder of its own for each test, removed at the end.
class Scratch {
 public:
  Scratch() {
    std::string name = (fs::temp_directory_path() / "mtrain-test-XXXXXX").string();
    BOOST_REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~Scratch() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  operator const fs::path&() const { return path_; }
  fs::path operator/(const std::string& name) const { return path_ / name; }

 private:
  fs::path path_;
};

inline std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  BOOST_REQUIRE_MESSAGE(in.good(), "cannot open " << path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

inline void write_file(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

/// Flips one bit of a file in place.
inline void flip_bit(const fs::path& path, size_t byte, unsigned bit) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekg(static_cast<std::streamoff>(byte));
  const char flipped = static_cast<char>(file.get() ^ (1 << bit));
  file.seekp(static_cast<std::streamoff>(byte));
  file.put(flipped);
}

inline fs::path golden_model(const std::string& name) {
  return fs::path(MTRAIN_SOURCE_DIR) / "tests/golden/data/models" / name;
}

/// Distinct values, also in the 8 bits of precision of bfloat16 for small tensors.
inline at::Tensor numbered(const Shape& shape, at::ScalarType dtype, int64_t first) {
  const int64_t count = parallel::numel(shape);
  const auto values =
      at::arange(first, first + count, at::TensorOptions().dtype(at::kLong));
  // Bit patterns rather than values: every element differs in every dtype.
  if (at::elementSize(dtype) == 2)
    return values.remainder(32000).to(at::kShort).view(dtype).reshape(shape).clone();
  return values.to(at::kFloat).reshape(shape).clone();
}

inline bool same_bytes(const at::Tensor& a, const at::Tensor& b) {
  return a.scalar_type() == b.scalar_type() && a.sizes() == b.sizes() &&
         a.is_contiguous() && b.is_contiguous() &&
         std::memcmp(a.data_ptr(), b.data_ptr(), a.nbytes()) == 0;
}

/// The elements of `box`, cut out of the whole tensor by ATen.
inline at::Tensor slice(const at::Tensor& whole, const Box& box) {
  at::Tensor part = whole;
  for (size_t d = 0; d < box.full.size(); ++d)
    part = part.narrow(static_cast<int64_t>(d), box.offset[d], box.extent[d]);
  return part.contiguous();
}

inline Box all_of(const std::string& name, const Shape& shape) {
  return {name, shape, Shape(shape.size(), 0), shape};
}

/// Runs `action` and checks that it throws Fault with all of `words` in the message.
template <class Fault>
void refuses(const std::function<void()>& action, const std::vector<std::string>& words) {
  try {
    action();
    BOOST_ERROR("accepted, though \"" << join(words, "\", \"") << "\" was due");
  } catch (const Fault& fault) {
    for (const std::string& word : words)
      BOOST_TEST(std::string(fault.what()).find(word) != std::string::npos,
                 "no \"" << word << "\" in: " << fault.what());
  }
}

/// The bytes of a safetensors file with this header text and these data.
inline std::string safetensors_bytes(const std::string& header, const std::string& data) {
  const uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), 8) + header + data;
}

}  // namespace mtrain::checkpoint::test
