// Owns the checks an HDF5 file from elsewhere must pass before data is read from it;
// called by the token store's reader.
#include "token_store_fence.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "mtrain/base/error.hpp"

namespace mtrain::data {
namespace {

using storage::Hdf5Dataset;
using storage::Hdf5Type;

int open_store(const std::string& path) {
  // A pipe without a writer must not make the program wait.
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0)
    throw UserError(cat("token store ", path, ": ", std::strerror(errno)),
                    "give the path of a file that mprep wrote as tokenized_path");
  return file;
}

int64_t size_of(int descriptor, const std::string& path) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) refuse_store(path, std::strerror(errno));
  if (!S_ISREG(status.st_mode)) refuse_store(path, "not a regular file");
  return status.st_size;
}

// Each check returns what is wrong, or nothing.
const char* fault_of_type(const Hdf5Type& type, size_t bytes) {
  if (type.kind != Hdf5Type::Kind::kInteger || !type.is_signed)
    return "its type is not a signed integer";
  if (type.bytes != static_cast<int64_t>(bytes))
    return bytes == 1   ? "its type is not 8 bits wide"
           : bytes == 4 ? "its type is not 32 bits wide"
                        : "its type is not 64 bits wide";
  return nullptr;
}

const char* fault_of_storage(const Hdf5Dataset& dataset) {
  if (dataset.layout == Hdf5Dataset::Layout::kVirtual) return "it is a virtual dataset";
  if (dataset.layout == Hdf5Dataset::Layout::kCompact)
    return "its layout is neither contiguous nor chunked";
  if (dataset.is_external) return "its data is in an external file";
  if (dataset.is_filtered) return "it has filters (compression)";
  if (dataset.extents.size() != 1) return "it is not one-dimensional";
  return nullptr;
}

}  // namespace

void refuse_store(const std::string& path, const std::string& what) {
  throw UserError(cat("token store ", path, ": ", what), "write it again with mprep");
}

/// What the HDF5 reader finds fault with is the store's fault.
template <class Call>
auto StoreFile::guarded(const Call& call) const {
  try {
    return call();
  } catch (const UserError&) {
    throw;
  } catch (const Error& fault) {
    refuse_store(path_, fault.what());
  }
}

StoreFile::StoreFile(const std::string& path)
    : path_(path), descriptor_(open_store(path)) {
  try {
    const int64_t size = size_of(descriptor_, path);
    guarded([&] {
      file_ = std::make_unique<storage::Hdf5File>(
          size, [this](int64_t at, void* to, size_t count) { read_at(at, to, count); });
      root_ = &file_->root();
    });
    if (!root_->links) refuse_store(path, "its root is no group");
    for (const auto& link : *root_->links)
      if (!link.object)
        refuse_store(path, cat("'", link.name, "' is a soft or external link"));
  } catch (...) {
    ::close(descriptor_);
    throw;
  }
}

StoreFile::~StoreFile() {
  ::close(descriptor_);
}

void StoreFile::read_at(int64_t position, void* to, size_t count) const {
  auto* out = static_cast<char*>(to);
  while (count > 0) {
    const ssize_t got = ::pread(descriptor_, out, count, position);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) refuse_store(path_, cat("cannot be read: ", std::strerror(errno)));
    if (got == 0) refuse_store(path_, "it became shorter while it was read");
    out += got;
    position += got;
    count -= static_cast<size_t>(got);
  }
}

const storage::Hdf5Link* StoreFile::find(const char* name) const {
  for (const auto& link : *root_->links)
    if (link.name == name) return &link;
  return nullptr;
}

bool StoreFile::has_attribute(const char* name) const {
  return root_->attributes.contains(name);
}

const storage::Hdf5Attribute& StoreFile::attribute(const char* name) const {
  const auto found = root_->attributes.find(name);
  if (found == root_->attributes.end())
    refuse_store(path_, cat("it has no attribute '", name, "'"));
  if (found->second.count != 1)
    refuse_store(path_, cat("attribute '", name, "' is not a single value"));
  return found->second;
}

std::string StoreFile::string_attribute(const char* name, bool required) {
  if (!required && !root_->attributes.contains(name)) return {};
  const auto& value = attribute(name);
  const auto kind = value.type.kind;
  if (kind != Hdf5Type::Kind::kText && kind != Hdf5Type::Kind::kLongText)
    refuse_store(path_, cat("attribute '", name, "' is not a string"));
  return guarded([&] { return file_->text(value); });
}

int64_t StoreFile::integer_attribute(const char* name) {
  const auto& value = attribute(name);
  if (value.type.kind != Hdf5Type::Kind::kInteger)
    refuse_store(path_, cat("attribute '", name, "' is not an integer"));
  return guarded([&] { return file_->integers(value).front(); });
}

FencedDataset StoreFile::open_fenced(const char* name, size_t bytes) {
  const storage::Hdf5Link* link = find(name);
  if (!link) refuse_store(path_, cat("it has no dataset '", name, "'"));
  return guarded([&] {
    const auto& dataset = file_->object(*link).dataset;
    if (!dataset) refuse_store(path_, cat("'", name, "' is no readable dataset"));
    const char* fault = fault_of_type(dataset->type, bytes);
    if (!fault) fault = fault_of_storage(*dataset);
    if (fault) refuse_store(path_, cat("dataset ", name, ": ", fault));
    FencedDataset data{this, name, dataset->extents[0], dataset->type.is_big_endian,
                       file_->column(*dataset)};
    if (!data.column.is_complete())
      refuse_store(path_, cat("dataset ", name, ": it claims ", data.size,
                              " elements but the file stores ", data.column.stored,
                              " bytes of them"));
    return data;
  });
}

void FencedDataset::read(int64_t first, int64_t count, void* out) const {
  auto* to = static_cast<char*>(out);
  column.for_each_stretch(first, count, [&](int64_t position, int64_t bytes) {
    file->read_at(position, to, static_cast<size_t>(bytes));
    to += bytes;
  });
  if (!is_big_endian) return;
  auto* element = static_cast<char*>(out);
  for (; element != to; element += column.element_bytes)
    std::reverse(element, element + column.element_bytes);
}

}  // namespace mtrain::data
