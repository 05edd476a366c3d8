// HDF5 files read without the HDF5 library, whose 1.10 crashes, hangs or reads stray
// memory on a damaged file. What this reads is the dialects in use for token stores and
// checkpoints; memory is bounded by the file's size (kMemoryFactor), time by it as well.
//
// Read are: superblocks 0 to 3; object headers 1 and 2; groups as symbol tables, compact
// and dense; attributes compact and dense, of numbers and of text (fixed length, or in
// the global heap); datasets contiguous and in chunks (tree, single, implicit, fixed and
// extensible array). Refused by name: files with a user block or split over several
// files, shared messages, and in columns filters, external, compact and virtual storage.
// Source of the layouts: "HDF5 File Format Specification" 3.0, The HDF Group.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace mtrain::storage {

struct Hdf5Type {
  enum class Kind {
    kInteger,   ///< all bits used
    kFloat32,   ///< IEEE single, little-endian
    kText,      ///< of fixed length
    kLongText,  ///< in the global heap
    kOther
  };
  Kind kind = Kind::kOther;
  int64_t bytes = 0;  ///< of one element
  bool is_signed = false;
  bool is_big_endian = false;
};

struct Hdf5Attribute {
  Hdf5Type type;
  int64_t count = 0;  ///< of elements
  std::string bytes;  ///< as stored; empty for kOther
};

struct Hdf5Link {
  std::string name;
  std::optional<uint64_t> object;  ///< nothing: a soft, external or user-defined link
};

struct Hdf5Dataset {
  enum class Layout { kContiguous, kChunked, kCompact, kVirtual };
  Hdf5Type type;
  std::vector<int64_t> extents;  ///< of a simple dataspace; none for a scalar
  bool can_grow = false;
  bool is_external = false, is_filtered = false;
  Layout layout = Layout::kContiguous;
  std::optional<int64_t> position;  ///< of the bytes, or of the index of chunks
  std::string layout_message;       ///< for the index of chunks
};

struct Hdf5Object {
  std::map<std::string, Hdf5Attribute> attributes;
  std::optional<std::vector<Hdf5Link>> links;  ///< of a group, each name once
  std::optional<Hdf5Dataset> dataset;          ///< of a dataset
};

/// Where the elements of a one-dimensional dataset lie.
struct Hdf5Column {
  int64_t size = 0;           ///< elements
  int64_t element_bytes = 0;  ///< bytes of each
  int64_t chunk = 0;          ///< elements of a chunk; all of them, when contiguous
  int64_t stored = 0;         ///< bytes the file stores for it
  /// Position of each chunk; complete only where `stored` suffices for `size` elements.
  std::vector<int64_t> positions;

  bool is_complete() const;
  /// Calls visit(position, bytes) for the stretches that hold elements [first, first +
  /// count), in order. The column must be complete.
  void for_each_stretch(int64_t first, int64_t count,
                        const std::function<void(int64_t, int64_t)>& visit) const;
};

/// A file open for reading. All functions throw Error that says what is damaged or not
/// supported. Not for use by several threads.
class Hdf5File {
 public:
  /// Reads `count` bytes at `at`, all inside the file, or throws.
  using ReadAt = std::function<void(int64_t at, void* to, size_t count)>;
  Hdf5File(int64_t size, ReadAt read);
  ~Hdf5File();
  Hdf5File(Hdf5File&&) noexcept;
  Hdf5File& operator=(Hdf5File&&) noexcept;

  const Hdf5Object& root();
  /// What a hard link leads to; valid as long as the file.
  const Hdf5Object& object(const Hdf5Link& link);

  /// Values of an attribute of integers, at most 64 of them.
  std::vector<int64_t> integers(const Hdf5Attribute& attribute) const;
  /// The text of a single string, at most 64 KiB, up to the first zero byte.
  std::string text(const Hdf5Attribute& attribute);

  /// The place of a one-dimensional, contiguous or chunked, plain dataset.
  Hdf5Column column(const Hdf5Dataset& dataset);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace mtrain::storage
