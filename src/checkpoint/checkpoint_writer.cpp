// Writes one rank's HDF5 file; called by every rank that saves. HDF5 lays the file out,
// the tensors' bytes go past it: store() may run on any thread, and keeps nobody from
// HDF5.
#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <set>

#include "box_copy.hpp"
#include "checkpoint_paths.hpp"
#include "dtype.hpp"
#include "h5_driver.hpp"
#include "mtrain/base/crc32c.hpp"
#include "mtrain/base/file.hpp"
#include "mtrain/checkpoint/training_checkpoint.hpp"
#include "rank_file.hpp"

namespace mtrain::checkpoint {
namespace {

/// Properties without the time of creation, so that equal runs write equal files.
h5::PropertyHandle timeless(hid_t kind) {
  h5::PropertyHandle properties(h5::checked(H5Pcreate(kind), "make object properties"));
  h5::checked(H5Pset_obj_track_times(properties.get(), false), "leave times out");
  return properties;
}

h5::PropertyHandle dataset_properties() {
  h5::PropertyHandle properties = timeless(H5P_DATASET_CREATE);
  h5::checked(H5Pset_layout(properties.get(), H5D_CONTIGUOUS), "set the layout");
  h5::checked(H5Pset_fill_time(properties.get(), H5D_FILL_TIME_NEVER),
              "set the fill time");
  h5::checked(H5Pset_alloc_time(properties.get(), H5D_ALLOC_TIME_EARLY),
              "set the allocation time");
  return properties;
}

void check_piece(const NamedPiece& piece) {
  const std::string name = cat(piece.group, "/", parallel::to_string(piece.box));
  const at::Tensor& data = piece.data;
  MT_CHECK(is_inside(piece.box), name, " lies outside its tensor");
  MT_CHECK(data.device().is_cpu() && data.is_contiguous() &&
               data.sizes() == at::IntArrayRef(piece.box.extent),
           "data of ", name, " are not a contiguous CPU tensor of the box's extent");
  MT_CHECK(dtype_from_name(dtype_name(data.scalar_type())).has_value(), "data of ", name,
           " are of ", dtype_name(data.scalar_type()),
           ", which checkpoints do not store");
  MT_CHECK(piece.box.tensor.find_first_of(std::string("/\0", 2)) == std::string::npos &&
               !piece.box.tensor.empty(),
           "\"", piece.box.tensor, "\" cannot be stored under this name");
}

}  // namespace

struct CheckpointWriter::State {
  State(std::filesystem::path where, int64_t step, int rank, int world)
      : folder(std::move(where)),
        summary{step, rank, world, 0, 0, {}},
        file(folder / rank_file_name(rank)) {}

  std::filesystem::path folder;
  RankFile summary;
  h5::HostedFile file;
  std::map<std::string, h5::GroupHandle> groups;
  std::map<std::string, size_t> places;  ///< "GROUP/DATASET" -> index in summary.boxes
  std::set<size_t> stored;               ///< indices whose bytes were written
  bool closed = false;

  hid_t group(const std::string& name);
  void reserve(const NamedPiece& piece);
  void store(const NamedPiece& piece);
  void check_contents() const;
};

namespace {

std::string key_of(const NamedPiece& piece) {
  return cat(piece.group, "/", dataset_name(piece.box));
}

}  // namespace

/// The group's handle, created at its first use.
hid_t CheckpointWriter::State::group(const std::string& name) {
  auto found = groups.find(name);
  if (found == groups.end()) {
    const h5::PropertyHandle properties = timeless(H5P_GROUP_CREATE);
    h5::GroupHandle made(h5::checked(
        H5Gcreate2(file.id(), name.c_str(), H5P_DEFAULT, properties.get(), H5P_DEFAULT),
        cat("create group ", name, " in ", file.bytes().path().string())));
    found = groups.emplace(name, std::move(made)).first;
  }
  return found->second.get();
}

void CheckpointWriter::State::reserve(const NamedPiece& piece) {
  const std::string what =
      cat("write ", key_of(piece), " to ", file.bytes().path().string());
  MT_CHECK(places.emplace(key_of(piece), summary.boxes.size()).second, "cannot ", what,
           ": stored twice");
  const at::ScalarType dtype = piece.data.scalar_type();
  const hid_t type = dtype == at::kFloat ? H5T_IEEE_F32LE : H5T_STD_U16LE;
  const h5::SpaceHandle space = h5::make_space(piece.box.extent);
  const h5::PropertyHandle properties = dataset_properties();
  const h5::DatasetHandle dataset(
      h5::checked(H5Dcreate2(group(piece.group), dataset_name(piece.box).c_str(), type,
                             space.get(), H5P_DEFAULT, properties.get(), H5P_DEFAULT),
                  what));
  h5::write_attribute(dataset.get(), "tensor", piece.box.tensor);
  h5::write_attribute(dataset.get(), "shape", piece.box.full);
  h5::write_attribute(dataset.get(), "offset", piece.box.offset);
  h5::write_attribute(dataset.get(), "dtype", dtype_name(dtype));
  const auto position = static_cast<int64_t>(H5Dget_offset(dataset.get()));
  file.check();
  summary.boxes.push_back({piece.group, piece.box, dtype, position, 0});
}

void CheckpointWriter::State::store(const NamedPiece& piece) {
  const auto place = places.find(key_of(piece));
  MT_CHECK(place != places.end(), "no place for ", key_of(piece));
  MT_CHECK(stored.insert(place->second).second, key_of(piece), " stored twice");
  StoredBox& box = summary.boxes[place->second];
  MT_CHECK(box.box == piece.box && box.dtype == piece.data.scalar_type(), key_of(piece),
           " is not what was reserved");
  const auto* data = static_cast<const char*>(piece.data.const_data_ptr());
  // Block by block, so that the checksum reads what the write is about to touch anyway.
  constexpr int64_t kBlock = File::kBlock;
  for (int64_t at = 0; at < box.bytes(); at += kBlock) {
    const auto count = static_cast<size_t>(std::min(kBlock, box.bytes() - at));
    box.crc = crc32c(box.crc, data + at, count);
    file.bytes().write_at(box.position + at, data + at, count);
  }
}

/// Reads the file back and compares it with what was to be written.
void CheckpointWriter::State::check_contents() const {
  const File file = File::open_to_read(folder / summary.name());
  const auto fault = [&](const std::string& what) {
    throw Error(
        cat(file.path().string(), ": ", what, " read back otherwise than written"),
        "either another process writes the same file (let only one run use this "
        "output_dir) or the storage loses bytes (write to another file system)");
  };
  if (file.size() != summary.bytes) fault("the size");
  RankFile sorted = summary;
  std::ranges::sort(sorted.boxes, {}, &StoredBox::position);
  if (structure_crc(file, sorted.boxes) != summary.structure_crc) fault("the structure");
  for (const StoredBox& box : sorted.boxes)
    if (crc_of(file, box) != box.crc) fault(parallel::to_string(box.box));
}

CheckpointWriter::CheckpointWriter(const std::filesystem::path& output_dir, int64_t step,
                                   int rank, int world) {
  const h5::Quiet quiet;
  const auto folder = temporary_folder(output_dir, step);
  make_directory(folder);
  state_ = std::make_unique<State>(folder, step, rank, world);
  const hid_t file = state_->file.id();
  h5::write_attribute(file, "format", std::string(kRankFileFormat));
  h5::write_attribute(file, "version", int64_t{kSchemaVersion});
  h5::write_attribute(file, "step", step);
  h5::write_attribute(file, "rank", int64_t{rank});
  h5::write_attribute(file, "world_size", int64_t{world});
}

CheckpointWriter::CheckpointWriter(CheckpointWriter&&) noexcept = default;
CheckpointWriter::~CheckpointWriter() {
  const h5::Quiet quiet;
  state_.reset();
}

void CheckpointWriter::reserve(const std::vector<NamedPiece>& pieces) {
  const h5::Quiet quiet;
  MT_CHECK(!state_->closed, "the file is laid out already");
  for (const NamedPiece& piece : pieces) {
    check_piece(piece);
    if (piece.box.size() > 0) state_->reserve(piece);
  }
}

void CheckpointWriter::store(const std::vector<NamedPiece>& pieces) {
  for (const NamedPiece& piece : pieces)
    if (piece.box.size() > 0) state_->store(piece);
}

void CheckpointWriter::write(const std::vector<NamedPiece>& pieces) {
  reserve(pieces);
  store(pieces);
}

void CheckpointWriter::close() {
  if (state_->closed) return;
  const h5::Quiet quiet;
  state_->groups.clear();
  state_->file.close();
  state_->closed = true;
  const File& file = state_->file.bytes();
  RankFile& summary = state_->summary;
  summary.bytes = file.size();
  RankFile sorted = summary;
  std::ranges::sort(sorted.boxes, {}, &StoredBox::position);
  summary.structure_crc = sorted.structure_crc = structure_crc(file, sorted.boxes);
  // As a reader would see it, while there is still a chance to fail before the commit.
  check_structure(file, rank_file_from_json(to_json(sorted)));
}

std::string CheckpointWriter::finish() {
  close();
  RankFile& summary = state_->summary;
  MT_CHECK(state_->stored.size() == summary.boxes.size(), "places left empty");
  state_->file.bytes().sync();
  state_->check_contents();
  std::ranges::sort(summary.boxes, {}, &StoredBox::position);
  return to_json(summary).dump();
}

}  // namespace mtrain::checkpoint
