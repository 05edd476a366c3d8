// Damaged, exchanged and foreign checkpoint files: all refused, by file and tensor.
#include <hdf5.h>

#include "hostile.hpp"
#include "mtrain/base/crc32c.hpp"
#include "rank_file.hpp"

using namespace mtrain;
using namespace mtrain::checkpoint;
using namespace mtrain::checkpoint::test;

namespace {

/// What opening or verify() finds fault with; empty when nothing.
std::string faults_of(const fs::path& folder) {
  try {
    return join(CheckpointReader(folder).verify(0, 1), "; ");
  } catch (const UserError& fault) {
    return fault.what();
  }
}

bool is_found(const fs::path& folder) {
  return !faults_of(folder).empty();
}

/// The tensor whose bytes include this one, or "".
std::string tensor_at(const Manifest& manifest, const std::string& file, size_t byte) {
  for (const RankFile& rank : manifest.files)
    for (const StoredBox& stored : rank.boxes) {
      const auto at = static_cast<int64_t>(byte) - stored.position;
      if (rank.name() == file && at >= 0 && at < stored.bytes())
        return stored.group + "/" + stored.box.tensor;
    }
  return "";
}

/// Makes the manifest agree with a changed rank file, as a foreign writer might.
void adopt(const fs::path& folder, const std::function<void(RankFile&)>& change) {
  Manifest manifest = manifest_of(folder);
  RankFile& rank = manifest.files[0];
  change(rank);
  int64_t end = 0;
  for (const StoredBox& stored : rank.boxes)
    end = std::max(end, stored.position + stored.bytes());
  if (static_cast<int64_t>(fs::file_size(folder / rank.name())) < end)
    fs::resize_file(folder / rank.name(), static_cast<uintmax_t>(end));
  const File file = File::open_to_read(folder / rank.name());
  rank.bytes = file.size();
  rank.structure_crc = structure_crc(file, rank.boxes);
  write_file(folder / "manifest.json", manifest_text(manifest));
}

/// A checkpoint of one rank and one tensor "w" of 6 floats, rewritten by `edit` on its
/// HDF5 file.
void refuse_hdf5(const std::function<void(hid_t file, hid_t group)>& edit,
                 const std::string& word) {
  const Scratch scratch;
  CheckpointWriter writer(scratch, 1, 0, 1);
  writer.write({{kMasterGroup, all_of("w", {6}), numbered({6}, at::kFloat, 0)}});
  const fs::path folder = commit(scratch, 1, {writer.finish()}, sample_state(1, 1), "");
  const hid_t file =
      H5Fopen((folder / "rank-00000.h5").c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
  const hid_t group = H5Gopen2(file, "master", H5P_DEFAULT);
  edit(file, group);
  H5Gclose(group);
  H5Fclose(file);
  adopt(folder, [](RankFile&) {});
  refuses<UserError>([&] { read_everything(folder); }, {"rank-00000.h5", word});
  BOOST_TEST(is_found(folder));
}

/// Replaces dataset w@0 by one of this type and these creation properties, attributes
/// copied.
void replace_dataset(hid_t group, hid_t type, hid_t properties, hsize_t count) {
  const hid_t old = H5Dopen2(group, "w@0", H5P_DEFAULT);
  const hid_t space = H5Screate_simple(1, &count, nullptr);
  const hid_t made =
      H5Dcreate2(group, "new", type, space, H5P_DEFAULT, properties, H5P_DEFAULT);
  BOOST_REQUIRE(made >= 0);
  const std::vector<float> values(count, 1.0F);
  H5Dwrite(made, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
  H5Dclose(made);
  H5Sclose(space);
  H5Dclose(old);
  H5Ldelete(group, "w@0", H5P_DEFAULT);
  H5Lmove(group, "new", group, "w@0", H5P_DEFAULT, H5P_DEFAULT);
}

/// As replace_dataset, with properties set by `set`.
void replace_with(hid_t group, const std::function<void(hid_t)>& set) {
  const hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
  set(properties);
  replace_dataset(group, H5T_IEEE_F32LE, properties, 6);
  H5Pclose(properties);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(checkpoint_hostile)

BOOST_AUTO_TEST_CASE(every_truncation_is_refused_at_once) {
  const Scratch scratch;
  const fs::path folder = save(scratch, 1, 2, 0, {kMasterGroup});
  for (const char* name : {"rank-00000.h5", "rank-00001.h5", "manifest.json"}) {
    const std::string bytes = read_file(folder / name);
    for (size_t size = 0; size < bytes.size(); size += 97) {
      write_file(folder / name, bytes.substr(0, size));
      refuses<UserError>([&] { CheckpointReader{folder}; }, {name});
    }
    write_file(folder / name, bytes + "x");
    refuses<UserError>([&] { CheckpointReader{folder}; }, {name});
    write_file(folder / name, bytes);
  }
  BOOST_TEST(!is_found(folder));
}

BOOST_AUTO_TEST_CASE(every_flipped_bit_is_found) {
  const Scratch scratch;
  const fs::path folder = save(scratch, 1, 2, 0, {kMasterGroup, kFirstMomentGroup});
  const Manifest manifest = manifest_of(folder);
  std::mt19937 random(5);
  for (const std::string name :
       {"rank-00000.h5", "rank-00001.h5", "manifest.json", "deck.ini"}) {
    const size_t bytes = fs::file_size(folder / name);
    for (int round = 0; round < 250; ++round) {
      const size_t byte = random() % bytes;
      const unsigned bit = random() % 8;
      flip_bit(folder / name, byte, bit);
      const std::string faults = faults_of(folder);
      for (const std::string& word : {name, tensor_at(manifest, name, byte)})
        BOOST_TEST((!faults.empty() && faults.find(word) != std::string::npos),
                   name << " byte " << byte << " bit " << bit << ": " << faults);
      flip_bit(folder / name, byte, bit);
    }
  }
  BOOST_TEST(!is_found(folder));
}

BOOST_AUTO_TEST_CASE(a_flipped_byte_of_a_tensor_is_named) {
  const Scratch scratch;
  const fs::path folder = save(scratch, 1, 2, 0, {kMasterGroup});
  const RankFile rank = manifest_of(folder).files[1];
  const StoredBox& stored = rank.boxes.back();
  std::string bytes = read_file(folder / rank.name());
  bytes[static_cast<size_t>(stored.position)] ^= 1;
  write_file(folder / rank.name(), bytes);
  const CheckpointReader reader(folder);
  const auto faults = reader.verify(0, 1);
  BOOST_REQUIRE(faults.size() == 1);
  BOOST_TEST(faults[0].find("rank-00001.h5") != std::string::npos);
  BOOST_TEST(faults[0].find("master/" + parallel::to_string(stored.box)) !=
             std::string::npos);
  // Of several ranks one finds it.
  for (const int parts : {2, 3, 7}) {
    size_t found = 0;
    for (int part = 0; part < parts; ++part) found += reader.verify(part, parts).size();
    BOOST_TEST(found == 1);
  }
}

BOOST_AUTO_TEST_CASE(exchanged_and_missing_rank_files_are_refused) {
  const Scratch scratch;
  const fs::path folder = save(scratch, 1, 2, 0, {kMasterGroup});
  const fs::path other = save(scratch, 2, 2, 0, {kMasterGroup});
  const std::string first = read_file(folder / "rank-00000.h5");
  const std::string second = read_file(folder / "rank-00001.h5");
  write_file(folder / "rank-00000.h5", second);
  write_file(folder / "rank-00001.h5", first);
  refuses<UserError>([&] { read_everything(folder); }, {"rank-0000"});
  write_file(folder / "rank-00000.h5", first);
  write_file(folder / "rank-00001.h5", read_file(other / "rank-00001.h5"));  // of step 2
  refuses<UserError>([&] { read_everything(folder); }, {"rank-00001.h5"});
  fs::remove(folder / "rank-00001.h5");
  refuses<UserError>([&] { CheckpointReader{folder}; }, {"rank-00001.h5", "errno 2"});
  fs::create_symlink(other / "rank-00001.h5", folder / "rank-00001.h5");
  refuses<UserError>([&] { CheckpointReader{folder}; },
                     {"rank-00001.h5", "symbolic link"});
  fs::remove(folder / "manifest.json");
  refuses<UserError>([&] { CheckpointReader{folder}; }, {"no manifest.json"});
  refuses<UserError>([&] { CheckpointReader{scratch / "none"}; },
                     {"none", "manifest.json"});
}

BOOST_AUTO_TEST_CASE(equal_sized_rank_files_may_not_change_places) {
  const Scratch scratch;
  std::vector<std::string> summaries;
  for (int rank = 0; rank < 2; ++rank) {
    CheckpointWriter writer(scratch, 1, rank, 2);
    writer.write(
        {{kMasterGroup, {"w", {12}, {6 * rank}, {6}}, numbered({6}, at::kFloat, rank)}});
    summaries.push_back(writer.finish());
  }
  const fs::path folder = commit(scratch, 1, summaries, sample_state(1, 2), "");
  BOOST_TEST(fs::file_size(folder / "rank-00000.h5") ==
             fs::file_size(folder / "rank-00001.h5"));
  fs::rename(folder / "rank-00000.h5", folder / "x");
  fs::rename(folder / "rank-00001.h5", folder / "rank-00000.h5");
  fs::rename(folder / "x", folder / "rank-00001.h5");
  refuses<UserError>([&] { read_everything(folder); }, {"rank-00000.h5", "structure"});
}

BOOST_AUTO_TEST_CASE(foreign_hdf5_storage_is_fenced) {
  refuse_hdf5(
      [](hid_t file, hid_t) {
        H5Lcreate_soft("/master", file, "x", H5P_DEFAULT, H5P_DEFAULT);
      },
      "link");
  refuse_hdf5(
      [](hid_t, hid_t group) {
        H5Ldelete(group, "w@0", H5P_DEFAULT);
        H5Lcreate_external("other.h5", "/w", group, "w@0", H5P_DEFAULT, H5P_DEFAULT);
      },
      "link");
  refuse_hdf5(
      [](hid_t, hid_t group) {
        replace_with(group, [](hid_t p) { H5Pset_external(p, "/etc/passwd", 0, 24); });
      },
      "external");
  refuse_hdf5(
      [](hid_t, hid_t group) {
        replace_with(group, [](hid_t p) {
          const hsize_t chunk = 6;
          H5Pset_chunk(p, 1, &chunk);
          H5Pset_deflate(p, 6);
        });
      },
      "contiguous");
  refuse_hdf5(
      [](hid_t, hid_t group) {
        replace_with(group, [](hid_t p) { H5Pset_layout(p, H5D_COMPACT); });
      },
      "contiguous");
}

BOOST_AUTO_TEST_CASE(foreign_hdf5_types_are_fenced) {
  refuse_hdf5(
      [](hid_t, hid_t group) { replace_dataset(group, H5T_IEEE_F32BE, H5P_DEFAULT, 6); },
      "type");
  refuse_hdf5(
      [](hid_t, hid_t group) { replace_dataset(group, H5T_IEEE_F64LE, H5P_DEFAULT, 6); },
      "type");
  refuse_hdf5(
      [](hid_t, hid_t group) { replace_dataset(group, H5T_STD_I32LE, H5P_DEFAULT, 6); },
      "type");
  refuse_hdf5(
      [](hid_t, hid_t group) { replace_dataset(group, H5T_IEEE_F32LE, H5P_DEFAULT, 7); },
      "extents");
  refuse_hdf5(
      [](hid_t, hid_t group) { replace_dataset(group, H5T_IEEE_F32LE, H5P_DEFAULT, 6); },
      "place");
}

BOOST_AUTO_TEST_CASE(foreign_hdf5_names_are_fenced) {
  refuse_hdf5([](hid_t, hid_t group) { H5Ldelete(group, "w@0", H5P_DEFAULT); },
              "0 datasets");
  refuse_hdf5(
      [](hid_t, hid_t group) {
        H5Lmove(group, "w@0", group, "v@0", H5P_DEFAULT, H5P_DEFAULT);
      },
      "v@0");
  refuse_hdf5([](hid_t file, hid_t) { H5Ldelete(file, "master", H5P_DEFAULT); },
              "0 groups");
  refuse_hdf5(
      [](hid_t file, hid_t) {
        H5Lmove(file, "master", file, "extra", H5P_DEFAULT, H5P_DEFAULT);
      },
      "extra");
  refuse_hdf5(
      [](hid_t, hid_t group) {
        H5Ldelete(group, "w@0", H5P_DEFAULT);
        H5Gclose(H5Gcreate2(group, "w@0", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
      },
      "not a dataset");
  refuse_hdf5(
      [](hid_t, hid_t group) {
        const hid_t dataset = H5Dopen2(group, "w@0", H5P_DEFAULT);
        H5Adelete(dataset, "tensor");
        H5Dclose(dataset);
      },
      "\"tensor\"");
  refuse_hdf5([](hid_t file, hid_t) { H5Adelete(file, "rank"); }, "\"rank\"");
}

BOOST_AUTO_TEST_CASE(virtual_datasets_are_fenced) {
  refuse_hdf5(
      [](hid_t, hid_t group) {
        const hsize_t count = 6;
        const hid_t space = H5Screate_simple(1, &count, nullptr);
        const hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
        H5Pset_virtual(properties, space, "/tmp/other.h5", "w", space);
        H5Ldelete(group, "w@0", H5P_DEFAULT);
        H5Dclose(H5Dcreate2(group, "w@0", H5T_IEEE_F32LE, space, H5P_DEFAULT, properties,
                            H5P_DEFAULT));
        H5Pclose(properties);
        H5Sclose(space);
      },
      "contiguous");
}

// Whoever changes a file can change its checksum, too.
BOOST_AUTO_TEST_CASE(a_flipped_bit_of_the_structure_never_gets_past_an_error_message) {
  const Scratch scratch;
  const fs::path folder = save(scratch, 1, 1, 0, {kMasterGroup});
  const RankFile rank = manifest_of(folder).files[0];
  const fs::path path = folder / rank.name();
  const auto start = static_cast<size_t>(rank.boxes[0].position);
  for (size_t bit = 0; bit < 8 * start; ++bit) {
    flip_bit(path, bit / 8, bit % 8);
    try {
      check_structure(File::open_to_read(path), rank);
    } catch (const Error&) {
    }
    flip_bit(path, bit / 8, bit % 8);
  }
  check_structure(File::open_to_read(path), rank);
}

BOOST_AUTO_TEST_CASE(no_hdf5_at_all_is_refused) {
  const Scratch scratch;
  const fs::path folder = save(scratch, 1, 1, 0, {kMasterGroup});
  write_file(folder / "rank-00000.h5", std::string(5000, 'x'));
  adopt(folder, [](RankFile& rank) { rank.boxes.clear(); });
  BOOST_TEST(faults_of(folder).find("rank-00000.h5") != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
