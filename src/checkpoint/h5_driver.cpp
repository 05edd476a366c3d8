// The callbacks HDF5 writes a rank file through; used by CheckpointWriter.
#include "h5_driver.hpp"

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>

namespace mtrain::checkpoint::h5 {
namespace {

constexpr hsize_t kAlignment = 4096;

/// What HDF5 holds of an open file: its own fields first, as it requires.
struct DriverFile {
  H5FD_t common;
  HostedFile* owner;
  haddr_t end_of_space;  ///< what HDF5 has allocated
  haddr_t end_of_file;   ///< what was written
};

/// What the access properties carry to open_file.
struct DriverInfo {
  HostedFile* owner;
  haddr_t end_of_file;
};

DriverFile* cast(H5FD_t* file) {
  return reinterpret_cast<DriverFile*>(file);
}
const DriverFile* cast(const H5FD_t* file) {
  return reinterpret_cast<const DriverFile*>(file);
}

H5FD_t* open_file(const char*, unsigned, hid_t access, haddr_t) {
  const auto* info = static_cast<const DriverInfo*>(H5Pget_driver_info(access));
  if (!info) return nullptr;
  auto file =
      std::make_unique<DriverFile>(DriverFile{{}, info->owner, 0, info->end_of_file});
  return &file.release()->common;  // close_file takes it back
}

herr_t close_file(H5FD_t* file) {
  const std::unique_ptr<DriverFile> taken(cast(file));
  return 0;
}

int compare(const H5FD_t* a, const H5FD_t* b) {
  return std::less<>()(a, b) ? -1 : static_cast<int>(a != b);
}

herr_t query(const H5FD_t*, unsigned long* flags) {
  if (flags)
    *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA |
             H5FD_FEAT_AGGREGATE_SMALLDATA | H5FD_FEAT_DEFAULT_VFD_COMPATIBLE;
  return 0;
}

haddr_t get_space(const H5FD_t* file, H5FD_mem_t) {
  return cast(file)->end_of_space;
}

herr_t set_space(H5FD_t* file, H5FD_mem_t, haddr_t end) {
  cast(file)->end_of_space = end;
  return 0;
}

haddr_t get_end(const H5FD_t* file, H5FD_mem_t) {
  return cast(file)->end_of_file;
}

herr_t read(H5FD_t* file, H5FD_mem_t, hid_t, haddr_t at, size_t count, void* buffer) {
  const DriverFile* driver = cast(file);
  std::memset(buffer, 0, count);
  const haddr_t end = std::min<haddr_t>(at + count, driver->end_of_file);
  if (at < end)
    driver->owner->attempt([&](const File& bytes) {
      bytes.read_at(static_cast<int64_t>(at), buffer, end - at);
    });
  return 0;
}

herr_t write(H5FD_t* file, H5FD_mem_t, hid_t, haddr_t at, size_t count,
             const void* buffer) {
  DriverFile* driver = cast(file);
  driver->owner->attempt([&](const File& bytes) {
    bytes.write_at(static_cast<int64_t>(at), buffer, count);
  });
  driver->end_of_file = std::max<haddr_t>(driver->end_of_file, at + count);
  return 0;
}

herr_t truncate(H5FD_t* file, hid_t, hbool_t) {
  DriverFile* driver = cast(file);
  driver->owner->attempt([&](const File& bytes) {
    bytes.resize(static_cast<int64_t>(driver->end_of_space));
  });
  driver->end_of_file = driver->end_of_space;
  return 0;
}

H5FD_class_t driver_class() {
  H5FD_class_t driver{};
  driver.name = "mtrain";
  driver.maxaddr = static_cast<haddr_t>(INT64_MAX);
  driver.fc_degree = H5F_CLOSE_STRONG;
  driver.fapl_size = sizeof(DriverInfo);
  driver.open = open_file;
  driver.close = close_file;
  driver.cmp = compare;
  driver.query = query;
  driver.get_eoa = get_space;
  driver.set_eoa = set_space;
  driver.get_eof = get_end;
  driver.read = read;
  driver.write = write;
  driver.truncate = truncate;
  const H5FD_mem_t map[] = H5FD_FLMAP_DICHOTOMY;
  std::copy(std::begin(map), std::end(map), driver.fl_map);
  return driver;
}

hid_t register_driver() {
  static const H5FD_class_t driver = driver_class();
  return checked(H5FDregister(&driver), "register a file driver");
}

PropertyHandle access_through(hid_t driver, HostedFile* owner, const File& file) {
  PropertyHandle access(checked(H5Pcreate(H5P_FILE_ACCESS), "make file properties"));
  const DriverInfo info{owner, static_cast<haddr_t>(file.size())};
  checked(H5Pset_driver(access.get(), driver, &info), "set the file driver");
  return access;
}

FileHandle create_file(const PropertyHandle& access, const std::filesystem::path& path) {
  checked(H5Pset_alignment(access.get(), kAlignment, kAlignment), "set the alignment");
  // The newer format is smaller and has checksums of its own; 1.10 is the oldest we read
  // with.
  checked(H5Pset_libver_bounds(access.get(), H5F_LIBVER_V110, H5F_LIBVER_V110),
          "set the format version");
  return FileHandle(
      checked(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access.get()),
              cat("create ", path.string())));
}

}  // namespace

HostedFile::HostedFile(const std::filesystem::path& path)
    : file_(File::create(path)),
      driver_(register_driver()),
      handle_(create_file(access_through(driver_.get(), this, file_), path)) {
  check();
}

void HostedFile::check() const {
  if (failure_) std::rethrow_exception(failure_);
}

void HostedFile::close() {
  checked(handle_.close(), cat("close ", file_.path().string()));
  check();
}

}  // namespace mtrain::checkpoint::h5
