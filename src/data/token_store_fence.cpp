// Owns the checks an HDF5 file from elsewhere must pass before data is read from it;
// called by the token store's reader.
#include "token_store_fence.hpp"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "mtrain/base/error.hpp"

namespace mtrain::data {
namespace {

constexpr size_t kMaxAttributeBytes = 4096;

int64_t file_bytes(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0)
    throw UserError(cat("token store ", path, ": ", std::strerror(errno)),
                    "give the path of a file that mprep wrote as tokenized_path");
  if (!S_ISREG(status.st_mode)) refuse_store(path, "not a regular file");
  return status.st_size;
}

herr_t stop_at_other_link(hid_t, const char* name, const H5L_info_t* info, void* out) {
  if (info->type == H5L_TYPE_HARD) return 0;
  *static_cast<std::string*>(out) = name;
  return 1;
}

// Each check returns what is wrong, or nothing.
const char* fault_of_type(hid_t dataset, size_t bytes) {
  const H5Handle type(H5Dget_type(dataset), H5Tclose);
  if (H5Tget_class(type.get()) != H5T_INTEGER || H5Tget_sign(type.get()) != H5T_SGN_2)
    return "its type is not a signed integer";
  if (H5Tget_size(type.get()) != bytes)
    return bytes == 4 ? "its type is not 32 bits wide" : "its type is not 64 bits wide";
  return nullptr;
}

const char* fault_of_storage(hid_t dataset) {
  const H5Handle creation(H5Dget_create_plist(dataset), H5Pclose);
  const H5D_layout_t layout = H5Pget_layout(creation.get());
  if (layout == H5D_VIRTUAL) return "it is a virtual dataset";
  if (layout != H5D_CONTIGUOUS && layout != H5D_CHUNKED)
    return "its layout is neither contiguous nor chunked";
  if (H5Pget_external_count(creation.get()) != 0)
    return "its data is in an external file";
  if (H5Pget_nfilters(creation.get()) != 0) return "it has filters (compression)";
  return nullptr;
}

int64_t size_of(hid_t dataset, const std::string& path, const char* name) {
  const H5Handle space(H5Dget_space(dataset), H5Sclose);
  hsize_t size = 0;
  if (!space.valid() || H5Sget_simple_extent_type(space.get()) != H5S_SIMPLE ||
      H5Sget_simple_extent_ndims(space.get()) != 1 ||
      H5Sget_simple_extent_dims(space.get(), &size, nullptr) != 1)
    refuse_store(path, cat("dataset ", name, ": it is not one-dimensional"));
  return static_cast<int64_t>(size);
}

std::string read_fixed_string(hid_t attribute, hid_t type) {
  std::vector<char> bytes(H5Tget_size(type));
  if (H5Aread(attribute, type, bytes.data()) < 0) return {};
  return std::string(bytes.data(), strnlen(bytes.data(), bytes.size()));
}

std::string read_variable_string(hid_t attribute, hid_t type) {
  char* bytes = nullptr;
  if (H5Aread(attribute, type, &bytes) < 0 || bytes == nullptr) return {};
  std::string value(bytes, strnlen(bytes, kMaxAttributeBytes));
  H5free_memory(bytes);
  return value;
}

H5Handle open_scalar_attribute(hid_t file, const std::string& path, const char* name) {
  if (H5Aexists(file, name) <= 0)
    refuse_store(path, cat("it has no attribute '", name, "'"));
  H5Handle attribute(H5Aopen(file, name, H5P_DEFAULT), H5Aclose);
  const H5Handle space(H5Aget_space(attribute.get()), H5Sclose);
  if (!space.valid() || H5Sget_simple_extent_npoints(space.get()) != 1)
    refuse_store(path, cat("attribute '", name, "' is not a single value"));
  return attribute;
}

}  // namespace

void refuse_store(const std::string& path, const std::string& what) {
  throw UserError(cat("token store ", path, ": ", what), "write it again with mprep");
}

H5Handle open_store_file(const std::string& path) {
  file_bytes(path);
  if (H5Fis_hdf5(path.c_str()) <= 0) refuse_store(path, "not an HDF5 file");
  const H5Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  H5Pset_file_locking(access.get(), false, true);
  // Nothing is kept in memory: what is read is what the file holds now.
  H5Pset_sieve_buf_size(access.get(), 0);
  H5Pset_cache(access.get(), 0, 0, 0, 0);
  H5Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.get()), H5Fclose);
  if (!file.valid())
    refuse_store(path, cat("damaged or truncated HDF5 file (", h5_last_error(), ")"));
  return file;
}

void require_hard_links(hid_t file, const std::string& path) {
  std::string other;
  const herr_t found = H5Literate(file, H5_INDEX_NAME, H5_ITER_NATIVE, nullptr,
                                  stop_at_other_link, &other);
  if (found < 0)
    refuse_store(path,
                 cat("damaged: its links cannot be listed (", h5_last_error(), ")"));
  if (found > 0) refuse_store(path, cat("'", other, "' is a soft or external link"));
}

FencedDataset open_fenced(hid_t file, const std::string& path, const char* name,
                          size_t bytes) {
  if (H5Lexists(file, name, H5P_DEFAULT) <= 0)
    refuse_store(path, cat("it has no dataset '", name, "'"));
  FencedDataset data;
  data.dataset = H5Handle(H5Dopen2(file, name, H5P_DEFAULT), H5Dclose);
  const hid_t id = data.dataset.get();
  if (id < 0) refuse_store(path, cat("'", name, "' is no readable dataset"));
  const char* fault = fault_of_type(id, bytes);
  if (!fault) fault = fault_of_storage(id);
  if (fault) refuse_store(path, cat("dataset ", name, ": ", fault));
  data.size = size_of(id, path, name);
  const auto stored = static_cast<int64_t>(H5Dget_storage_size(id));
  if (stored > file_bytes(path) || stored / static_cast<int64_t>(bytes) < data.size)
    refuse_store(path, cat("dataset ", name, ": it claims ", data.size,
                           " elements but the file stores ", stored, " bytes of them"));
  return data;
}

void read_range(const FencedDataset& data, const std::string& path, const char* name,
                hid_t memory_type, int64_t first, int64_t count, void* out) {
  if (count == 0) return;
  const auto offset = static_cast<hsize_t>(first), size = static_cast<hsize_t>(count);
  const H5Handle file_space(H5Dget_space(data.dataset.get()), H5Sclose);
  const H5Handle memory_space(H5Screate_simple(1, &size, nullptr), H5Sclose);
  if (H5Sselect_hyperslab(file_space.get(), H5S_SELECT_SET, &offset, nullptr, &size,
                          nullptr) < 0 ||
      H5Dread(data.dataset.get(), memory_type, memory_space.get(), file_space.get(),
              H5P_DEFAULT, out) < 0)
    refuse_store(path, cat("elements ", first, " to ", first + count, " of ", name,
                           " cannot be read (", h5_last_error(), ")"));
}

std::string read_string_attribute(hid_t file, const std::string& path, const char* name,
                                  bool required) {
  if (!required && H5Aexists(file, name) <= 0) return {};
  const H5Handle attribute = open_scalar_attribute(file, path, name);
  const H5Handle type(H5Aget_type(attribute.get()), H5Tclose);
  if (H5Tget_class(type.get()) != H5T_STRING)
    refuse_store(path, cat("attribute '", name, "' is not a string"));
  if (H5Tis_variable_str(type.get()) > 0)
    return read_variable_string(attribute.get(), type.get());
  if (H5Tget_size(type.get()) > kMaxAttributeBytes)
    refuse_store(path, cat("attribute '", name, "' is too long"));
  return read_fixed_string(attribute.get(), type.get());
}

int64_t read_integer_attribute(hid_t file, const std::string& path, const char* name) {
  const H5Handle attribute = open_scalar_attribute(file, path, name);
  const H5Handle type(H5Aget_type(attribute.get()), H5Tclose);
  int64_t value = 0;
  if (H5Tget_class(type.get()) != H5T_INTEGER ||
      H5Aread(attribute.get(), H5T_NATIVE_INT64, &value) < 0)
    refuse_store(path, cat("attribute '", name, "' is not an integer"));
  return value;
}

}  // namespace mtrain::data
