// Owns writing a token store: buffered appends to chunked datasets, then fsync and
// rename. Called by prepare().
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "h5_handle.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/data/token_store.hpp"
#include "piece_checksums.hpp"
#include "token_store_format.hpp"

namespace mtrain::data {
namespace {

// Larger than HDF5's chunk cache, so whole chunks go straight to the file.
constexpr size_t kChunkBytes = 2 << 20;

[[noreturn]] void fail(const std::string& path, const std::string& what) {
  throw Error(cat("cannot write token store ", path, ": ", what),
              "check free space and permissions of its folder");
}

// One growing dataset: contiguous when all of it fits into a chunk, else whole chunks are
// written as they fill up. Its checksums are made on the way.
template <class T>
class Column {
 public:
  Column(hid_t file, const std::string& path, const char* name)
      : file_(file), path_(path), name_(name) {}

  void append(const T* values, size_t count) {
    checksums_.add(values, count * sizeof(T));
    buffer_.insert(buffer_.end(), values, values + count);
    if (buffer_.size() < kChunk) return;
    if (!dataset_.valid()) create(kChunk);
    write(buffer_.size() / kChunk * kChunk);
  }

  /// Writes what is buffered, closes the dataset and appends its checksums to `sums`.
  void finish(std::vector<int64_t>& sums) {
    if (!dataset_.valid()) create(0);
    write(buffer_.size());
    dataset_.close();
    const auto own = checksums_.finish();
    sums.insert(sums.end(), own.begin(), own.end());
  }

 private:
  static constexpr hsize_t kChunk = kChunkBytes / sizeof(T);
  static hid_t memory_type() {
    if (sizeof(T) == 1) return H5T_NATIVE_INT8;
    return sizeof(T) == 4 ? H5T_NATIVE_INT32 : H5T_NATIVE_INT64;
  }
  static hid_t file_type() {
    if (sizeof(T) == 1) return H5T_STD_I8LE;
    return sizeof(T) == 4 ? H5T_STD_I32LE : H5T_STD_I64LE;
  }

  // `chunk` 0: contiguous, of the size of the buffer.
  void create(hsize_t chunk) {
    const hsize_t size = chunk > 0 ? 0 : buffer_.size();
    const hsize_t limit = chunk > 0 ? H5S_UNLIMITED : size;
    const H5Handle space(H5Screate_simple(1, &size, &limit), H5Sclose);
    const H5Handle layout(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    if (chunk > 0) H5Pset_chunk(layout.get(), 1, &chunk);
    H5Pset_fill_time(layout.get(), H5D_FILL_TIME_NEVER);
    H5Pset_obj_track_times(layout.get(), false);
    dataset_ = H5Handle(H5Dcreate2(file_, name_, file_type(), space.get(), H5P_DEFAULT,
                                   layout.get(), H5P_DEFAULT),
                        H5Dclose);
    if (!dataset_.valid()) fail(path_, h5_last_error());
    growing_ = chunk > 0;
  }

  void write(size_t count) {
    if (count == 0) return;
    const hsize_t offset = written_, size = count, total = written_ + count;
    bool ok = !growing_ || H5Dset_extent(dataset_.get(), &total) >= 0;
    const H5Handle file_space(H5Dget_space(dataset_.get()), H5Sclose);
    const H5Handle memory_space(H5Screate_simple(1, &size, nullptr), H5Sclose);
    ok = ok && H5Sselect_hyperslab(file_space.get(), H5S_SELECT_SET, &offset, nullptr,
                                   &size, nullptr) >= 0;
    ok = ok && H5Dwrite(dataset_.get(), memory_type(), memory_space.get(),
                        file_space.get(), H5P_DEFAULT, buffer_.data()) >= 0;
    if (!ok) fail(path_, h5_last_error());
    written_ = total;
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(count));
  }

  hid_t file_;
  std::string path_;
  const char* name_;
  bool growing_ = false;
  hsize_t written_ = 0;
  H5Handle dataset_;
  std::vector<T> buffer_;
  PieceChecksums checksums_{store::kPiece};
};

void write_attribute(hid_t file, const char* name, std::string_view value) {
  const H5Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
  H5Tset_size(type.get(), std::max<size_t>(value.size(), 1));
  H5Tset_strpad(type.get(), H5T_STR_NULLPAD);
  H5Tset_cset(type.get(), H5T_CSET_UTF8);
  const H5Handle space(H5Screate(H5S_SCALAR), H5Sclose);
  const H5Handle attribute(
      H5Acreate2(file, name, type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT),
      H5Aclose);
  const std::string bytes = value.empty() ? std::string(1, '\0') : std::string(value);
  H5Awrite(attribute.get(), type.get(), bytes.data());
}

void write_attribute(hid_t file, const char* name, int64_t value) {
  const H5Handle space(H5Screate(H5S_SCALAR), H5Sclose);
  const H5Handle attribute(
      H5Acreate2(file, name, H5T_STD_I64LE, space.get(), H5P_DEFAULT, H5P_DEFAULT),
      H5Aclose);
  H5Awrite(attribute.get(), H5T_NATIVE_INT64, &value);
}

void sync_path(const std::string& path, int flags) {
  const int file = ::open(path.c_str(), flags | O_CLOEXEC);
  if (file < 0) fail(path, std::strerror(errno));
  const int result = ::fsync(file);
  const int error = errno;
  ::close(file);
  if (result != 0) fail(path, std::strerror(error));
}

}  // namespace

struct TokenStoreWriter::Impl {
  std::string path;
  std::string temporary;
  H5Quiet quiet;
  H5Handle file;
  std::unique_ptr<Column<int32_t>> input_ids, labels;
  std::unique_ptr<Column<int64_t>> sample_offsets, row_offsets;
  int64_t samples = 0;
  int64_t tokens = 0;
  int64_t samples_in_rows = 0;
  std::string settings;

  Impl(const std::string& path, const StoreAttributes& attributes);
  void finish_columns();
  void abandon() noexcept;
};

TokenStoreWriter::Impl::Impl(const std::string& path, const StoreAttributes& attributes)
    : path(path),
      temporary(cat(path, ".tmp.", ::getpid())),
      settings(attributes.settings) {
  // The newest format protects all of the file's structure with checksums.
  const H5Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  H5Pset_libver_bounds(access.get(), H5F_LIBVER_LATEST, H5F_LIBVER_LATEST);
  // Without times in it, equal contents make equal files.
  const H5Handle creation(H5Pcreate(H5P_FILE_CREATE), H5Pclose);
  H5Pset_obj_track_times(creation.get(), false);
  file = H5Handle(
      H5Fcreate(temporary.c_str(), H5F_ACC_EXCL, creation.get(), access.get()), H5Fclose);
  if (!file.valid())
    throw UserError(cat("cannot create token store ", temporary, ": ", h5_last_error()),
                    "give a path in a folder that exists and can be written");
  write_attribute(file.get(), store::kFormat, store::kFormatName);
  write_attribute(file.get(), store::kVersionAttribute, store::kVersion);
  write_attribute(file.get(), store::kStage,
                  store::kStageNames[static_cast<size_t>(attributes.stage)]);
  write_attribute(file.get(), store::kSourceHash, attributes.source_hash);
  write_attribute(file.get(), store::kPieceBytes, store::kPiece);
  input_ids = std::make_unique<Column<int32_t>>(file.get(), temporary, store::kInputIds);
  labels = std::make_unique<Column<int32_t>>(file.get(), temporary, store::kLabels);
  sample_offsets =
      std::make_unique<Column<int64_t>>(file.get(), temporary, store::kSampleOffsets);
  sample_offsets->append(&tokens, 1);
}

void TokenStoreWriter::Impl::abandon() noexcept {
  row_offsets.reset();
  sample_offsets.reset();
  labels.reset();
  input_ids.reset();
  file.close();
  ::unlink(temporary.c_str());
}

TokenStoreWriter::TokenStoreWriter(const std::string& path,
                                   const StoreAttributes& attributes)
    : impl_(std::make_unique<Impl>(path, attributes)) {}

TokenStoreWriter::~TokenStoreWriter() {
  if (impl_->file.valid()) impl_->abandon();
}

void TokenStoreWriter::append(const Sample& sample) {
  MT_CHECK(sample.input_ids.size() == sample.labels.size());
  for (const int32_t id : sample.input_ids) MT_CHECK(id >= 0, "token id ", id);
  impl_->input_ids->append(sample.input_ids.data(), sample.input_ids.size());
  impl_->labels->append(sample.labels.data(), sample.labels.size());
  impl_->tokens += static_cast<int64_t>(sample.input_ids.size());
  impl_->sample_offsets->append(&impl_->tokens, 1);
  ++impl_->samples;
}

void TokenStoreWriter::end_row() {
  Impl& impl = *impl_;
  if (!impl.row_offsets) {
    impl.row_offsets = std::make_unique<Column<int64_t>>(impl.file.get(), impl.temporary,
                                                         store::kRowOffsets);
    impl.row_offsets->append(&impl.samples_in_rows, 1);
  }
  impl.samples_in_rows = impl.samples;
  impl.row_offsets->append(&impl.samples_in_rows, 1);
}

// The order of the checksums is that of this function.
void TokenStoreWriter::Impl::finish_columns() {
  std::vector<int64_t> sums;
  input_ids->finish(sums);
  labels->finish(sums);
  sample_offsets->finish(sums);
  if (row_offsets) row_offsets->finish(sums);
  if (!settings.empty()) {
    Column<int8_t> column(file.get(), temporary, store::kSettings);
    column.append(reinterpret_cast<const int8_t*>(settings.data()), settings.size());
    column.finish(sums);
  }
  Column<int64_t> column(file.get(), temporary, store::kChecksums);
  column.append(sums.data(), sums.size());
  column.finish(sums);
}

void TokenStoreWriter::finish() {
  Impl& impl = *impl_;
  MT_CHECK(!impl.row_offsets || impl.samples_in_rows == impl.samples,
           "the last row was not ended");
  impl.finish_columns();
  const bool closed = impl.file.close();
  try {
    if (!closed) fail(impl.temporary, h5_last_error());
    sync_path(impl.temporary, O_RDONLY);
    if (std::rename(impl.temporary.c_str(), impl.path.c_str()) != 0)
      fail(impl.path, std::strerror(errno));
  } catch (...) {
    ::unlink(impl.temporary.c_str());
    throw;
  }
  const auto folder = std::filesystem::path(impl.path).parent_path().string();
  sync_path(folder.empty() ? "." : folder, O_RDONLY | O_DIRECTORY);
}

int64_t TokenStoreWriter::num_samples() const {
  return impl_->samples;
}

}  // namespace mtrain::data
