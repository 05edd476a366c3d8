// Token stores from elsewhere: foreign ones are read, anything unsound is refused by
// name.
#include <hdf5.h>

#include <boost/test/unit_test.hpp>
#include <fstream>

#include "fixtures.hpp"
#include "mtrain/base/crc32c.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/base/timer.hpp"
#include "mtrain/data/token_store.hpp"

using namespace mtrain;
using data::TokenStoreReader;

namespace {

void put(hid_t file, const char* name, hid_t type, const std::vector<int64_t>& values,
         hid_t creation = H5P_DEFAULT) {
  const hsize_t size = values.size();
  const hid_t space = H5Screate_simple(1, &size, nullptr);
  const hid_t dataset =
      H5Dcreate2(file, name, type, space, H5P_DEFAULT, creation, H5P_DEFAULT);
  BOOST_REQUIRE(dataset >= 0);
  BOOST_REQUIRE(H5Dwrite(dataset, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT,
                         values.data()) >= 0);
  H5Dclose(dataset);
  H5Sclose(space);
}

// A variable-length string, as h5py writes attributes.
void put_text(hid_t file, const char* name, const char* value) {
  const hid_t type = H5Tcopy(H5T_C_S1);
  H5Tset_size(type, H5T_VARIABLE);
  const hid_t space = H5Screate(H5S_SCALAR);
  const hid_t attribute = H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
  H5Awrite(attribute, type, &value);
  H5Aclose(attribute);
  H5Sclose(space);
  H5Tclose(type);
}

void put_number(hid_t file, const char* name, int64_t value) {
  const hid_t space = H5Screate(H5S_SCALAR);
  const hid_t attribute =
      H5Acreate2(file, name, H5T_STD_I32LE, space, H5P_DEFAULT, H5P_DEFAULT);
  H5Awrite(attribute, H5T_NATIVE_INT64, &value);
  H5Aclose(attribute);
  H5Sclose(space);
}

// A store written by another program: two samples of three tokens. Each hook replaces one
// part.
struct Foreign {
  std::function<void(hid_t)> attributes = [](hid_t file) {
    put_text(file, "format", "mtrain-tokens");
    put_number(file, "version", 1);
    put_text(file, "stage", "sft");
  };
  std::function<void(hid_t)> ids = [](hid_t file) {
    put(file, "input_ids", H5T_STD_I32LE, {1, 2, 3, 4, 5, 6});
  };
  std::function<void(hid_t)> labels = [](hid_t file) {
    put(file, "labels", H5T_STD_I32LE, {-100, 2, 3, -100, -100, 6});
  };
  std::function<void(hid_t)> offsets = [](hid_t file) {
    put(file, "sample_offsets", H5T_STD_I64LE, {0, 3, 6});
  };
  std::function<void(hid_t)> more = [](hid_t) {};

  std::string write(const test::ScratchFolder& folder,
                    H5F_libver_t oldest = H5F_LIBVER_EARLIEST) const {
    const std::string path = folder / "foreign.h5";
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_libver_bounds(access, oldest, H5F_LIBVER_LATEST);
    const hid_t file = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access);
    for (const auto& part : {attributes, ids, labels, offsets, more}) part(file);
    H5Fclose(file);
    H5Pclose(access);
    return path;
  }
};

// The store must be refused, with the file and `reason` in the message.
void check_refused(const Foreign& store, const std::string& reason) {
  const test::ScratchFolder folder;
  const std::string path = store.write(folder);
  const std::string error = test::user_error([&] { TokenStoreReader(path).scan(); });
  BOOST_TEST(error.find(path) != error.npos, error);
  BOOST_TEST(error.find(reason) != error.npos,
             "'" << error << "' lacks '" << reason << "'");
}

std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Opens and reads all of a damaged file: a UserError or values, but never anything else.
void read_damaged(const std::string& path) {
  try {
    const TokenStoreReader reader(path);
    reader.scan();
  } catch (const UserError&) {
  }
}

// Flips each bit of the file whose number is a multiple of `stride`, one at a time.
void flip_bits(const std::string& path, size_t stride) {
  const std::string whole = bytes_of(path);
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  const auto put = [&](size_t byte, int value) {
    file.seekp(static_cast<std::streamoff>(byte));
    file.put(static_cast<char>(value)).flush();
  };
  const Stopwatch clock;
  size_t rounds = 0;
  for (size_t bit = 0; bit < whole.size() * 8; bit += stride, ++rounds) {
    put(bit / 8, whole[bit / 8] ^ 1 << bit % 8);
    read_damaged(path);
    put(bit / 8, whole[bit / 8]);
  }
  BOOST_TEST(clock.seconds() < 0.01 * static_cast<double>(rounds));
  BOOST_TEST(TokenStoreReader(path).num_samples() > 0);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(hostile_store)

BOOST_AUTO_TEST_CASE(a_foreign_store_with_just_the_named_parts_is_valid) {
  const test::ScratchFolder folder;
  const TokenStoreReader reader(Foreign().write(folder));
  BOOST_TEST(reader.num_samples() == 2);
  BOOST_TEST(reader.read(1).labels == (std::vector<int32_t>{-100, -100, 6}));
  BOOST_TEST(reader.scan().trained_positions == 3);
}

BOOST_AUTO_TEST_CASE(files_that_are_no_store_are_refused) {
  const test::ScratchFolder folder;
  const auto open = [](const std::string& path) {
    return test::user_error([&] { TokenStoreReader reader(path); });
  };
  BOOST_TEST(open(folder / "none.h5").find("No such file") != std::string::npos);
  BOOST_TEST(open(folder.path()).find("not a regular file") != std::string::npos);
  const std::string text = folder.write("text.h5", "this is not HDF5");
  BOOST_TEST(open(text).find("not an HDF5 file") != std::string::npos);
  const std::string whole = bytes_of(Foreign().write(folder));
  const std::string half = folder.write("half.h5", whole.substr(0, whole.size() / 2));
  BOOST_TEST(open(half).find("truncated") != std::string::npos, open(half));
}

BOOST_AUTO_TEST_CASE(wrong_attributes_are_refused) {
  Foreign store;
  store.attributes = [](hid_t) {};
  check_refused(store, "no attribute 'format'");
  store.attributes = [](hid_t file) { put_text(file, "format", "other-tokens"); };
  check_refused(store, "'format' is 'other-tokens'");
  store.attributes = [](hid_t file) { put_number(file, "format", 1); };
  check_refused(store, "'format' is not a string");
  store.attributes = [](hid_t file) {
    put_text(file, "format", "mtrain-tokens");
    put_number(file, "version", 2);
  };
  check_refused(store, "version is 2");
  store.attributes = [](hid_t file) {
    put_text(file, "format", "mtrain-tokens");
    put_number(file, "version", 1);
    put_text(file, "stage", "rl");
  };
  check_refused(store, "'stage' is 'rl'");
}

BOOST_AUTO_TEST_CASE(wrong_types_and_shapes_are_refused) {
  Foreign store;
  store.ids = [](hid_t) {};
  check_refused(store, "no dataset 'input_ids'");
  store.ids = [](hid_t file) { H5Gclose(H5Gcreate2(file, "input_ids", 0, 0, 0)); };
  check_refused(store, "'input_ids' is no readable dataset");
  store.ids = [](hid_t file) {
    put(file, "input_ids", H5T_IEEE_F32LE, {1, 2, 3, 4, 5, 6});
  };
  check_refused(store, "not a signed integer");
  store.ids = [](hid_t file) {
    put(file, "input_ids", H5T_STD_U32LE, {1, 2, 3, 4, 5, 6});
  };
  check_refused(store, "not a signed integer");
  store.ids = [](hid_t file) {
    put(file, "input_ids", H5T_STD_I64LE, {1, 2, 3, 4, 5, 6});
  };
  check_refused(store, "not 32 bits wide");
  store.ids = [](hid_t file) { put(file, "input_ids", H5T_STD_I32LE, {1, 2, 3, 4, 5}); };
  check_refused(store, "input_ids has 5 elements but labels has 6");
  store.ids = [](hid_t file) {
    const hsize_t shape[2] = {2, 3};
    const hid_t space = H5Screate_simple(2, shape, nullptr);
    H5Dclose(H5Dcreate2(file, "input_ids", H5T_STD_I32LE, space, 0, 0, 0));
    H5Sclose(space);
  };
  check_refused(store, "not one-dimensional");
}

BOOST_AUTO_TEST_CASE(offsets_that_make_no_sense_are_refused) {
  const auto with = [](std::vector<int64_t> offsets) {
    Foreign store;
    store.offsets = [offsets](hid_t file) {
      put(file, "sample_offsets", H5T_STD_I64LE, offsets);
    };
    return store;
  };
  check_refused(with({}), "sample_offsets is empty");
  check_refused(with({1, 3, 6}), "sample_offsets[0] is 1");
  check_refused(with({0, 4, 3, 6}), "sample_offsets[2] is 3, below the one before, 4");
  check_refused(with({0, 3, 7}), "the last of sample_offsets is 7, not 6");
  Foreign rows;
  rows.more = [](hid_t file) { put(file, "row_offsets", H5T_STD_I64LE, {0, 3}); };
  check_refused(rows, "the last of row_offsets is 3, not 2");
}

BOOST_AUTO_TEST_CASE(values_that_are_no_tokens_are_refused) {
  Foreign store;
  store.ids = [](hid_t file) {
    put(file, "input_ids", H5T_STD_I32LE, {1, 2, 3, -4, 5, 6});
  };
  check_refused(store, "input_ids[3] is -4");
  Foreign other;
  other.labels = [](hid_t file) {
    put(file, "labels", H5T_STD_I32LE, {1, 2, 3, 4, -1, 6});
  };
  check_refused(other, "labels[4] is -1");
}

BOOST_AUTO_TEST_CASE(storage_outside_the_fence_is_refused) {
  const hid_t external = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_external(external, "/etc/hostname", 0, 24);
  Foreign store;
  store.ids = [&](hid_t file) {
    const hsize_t size = 6;
    const hid_t space = H5Screate_simple(1, &size, nullptr);
    H5Dclose(H5Dcreate2(file, "input_ids", H5T_STD_I32LE, space, 0, external, 0));
    H5Sclose(space);
  };
  check_refused(store, "external file");
  H5Pclose(external);

  const hid_t filtered = H5Pcreate(H5P_DATASET_CREATE);
  const hsize_t chunk = 6;
  H5Pset_chunk(filtered, 1, &chunk);
  H5Pset_fletcher32(filtered);
  store.ids = [&](hid_t file) {
    put(file, "input_ids", H5T_STD_I32LE, {1, 2, 3, 4, 5, 6}, filtered);
  };
  check_refused(store, "filters");
  H5Pclose(filtered);

  const hid_t compact = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_layout(compact, H5D_COMPACT);
  store.ids = [&](hid_t file) {
    put(file, "input_ids", H5T_STD_I32LE, {1, 2, 3, 4, 5, 6}, compact);
  };
  check_refused(store, "neither contiguous nor chunked");
  H5Pclose(compact);
}

BOOST_AUTO_TEST_CASE(virtual_datasets_are_refused) {
  Foreign store;
  store.ids = [](hid_t file) {
    const hsize_t size = 6;
    const hid_t space = H5Screate_simple(1, &size, nullptr);
    const hid_t mapped = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_virtual(mapped, space, "other.h5", "input_ids", space);
    H5Dclose(H5Dcreate2(file, "input_ids", H5T_STD_I32LE, space, 0, mapped, 0));
    H5Pclose(mapped);
    H5Sclose(space);
  };
  check_refused(store, "virtual dataset");
}

BOOST_AUTO_TEST_CASE(links_out_of_the_file_are_refused) {
  Foreign store;
  store.ids = [](hid_t file) { H5Lcreate_soft("/labels", file, "input_ids", 0, 0); };
  check_refused(store, "'input_ids' is a soft or external link");
  store.ids = [](hid_t file) {
    H5Lcreate_external("other.h5", "/input_ids", file, "input_ids", 0, 0);
  };
  check_refused(store, "'input_ids' is a soft or external link");
}

// Two arrays of six ids in pieces of 16 bytes, and three offsets in one and a half.
void put_checksums(hid_t file, std::vector<int64_t> sums) {
  put_number(file, "crc32c_bytes", 16);
  put(file, "crc32c", H5T_STD_I64LE, std::move(sums));
}

template <class T>
void add_sums(const std::vector<T>& values, std::vector<int64_t>& sums) {
  for (size_t at = 0; at < values.size(); at += 16 / sizeof(T)) {
    const size_t count = std::min(16 / sizeof(T), values.size() - at);
    sums.push_back(crc32c(0, values.data() + at, count * sizeof(T)));
  }
}

BOOST_AUTO_TEST_CASE(checksums_of_a_foreign_store_are_checked) {
  std::vector<int64_t> sums;
  add_sums<int32_t>({1, 2, 3, 4, 5, 6}, sums);
  add_sums<int32_t>({-100, 2, 3, -100, -100, 6}, sums);
  add_sums<int64_t>({0, 3, 6}, sums);
  const test::ScratchFolder folder;
  Foreign store;
  const std::string plain = TokenStoreReader(store.write(folder)).content_id();
  BOOST_TEST(!TokenStoreReader(store.write(folder)).has_checksums());
  store.more = [&](hid_t file) { put_checksums(file, sums); };
  const TokenStoreReader reader(store.write(folder));
  BOOST_TEST(reader.has_checksums());
  BOOST_TEST(reader.scan().tokens == 6);
  BOOST_TEST(reader.content_id() == plain);
  ++sums[1];
  check_refused(store, "elements 4 to 5 of input_ids do not match their checksum");
  --sums[1];
  ++sums[5];
  check_refused(store, "elements 2 to 2 of sample_offsets do not match");
  sums.pop_back();
  check_refused(store, "crc32c has 5 elements for 6 pieces");
  store.more = [](hid_t file) { put_number(file, "crc32c_bytes", 12); };
  check_refused(store, "'crc32c_bytes' is 12, not a multiple of 8");
  store.more = [](hid_t file) { put_number(file, "crc32c_bytes", 16); };
  check_refused(store, "no dataset 'crc32c'");
}

BOOST_AUTO_TEST_CASE(a_store_without_checksums_must_not_be_written_to) {
  const test::ScratchFolder folder;
  const std::string path = Foreign().write(folder);
  const TokenStoreReader reader(path);
  reader.read(0);
  const std::string bytes = bytes_of(path);
  std::fstream(path, std::ios::binary | std::ios::in | std::ios::out) << bytes;
  const std::string error = test::user_error([&] { reader.read(0); });
  BOOST_TEST(error.find("it was written to") != error.npos, error);
}

// Claims of petabytes must be refused before memory is asked for.
BOOST_AUTO_TEST_CASE(datasets_that_claim_more_than_the_file_holds_are_refused) {
  Foreign store;
  store.offsets = [](hid_t file) {
    const hsize_t size = hsize_t{1} << 50, chunk = 4;
    const hid_t space = H5Screate_simple(1, &size, nullptr);
    const hid_t sparse = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(sparse, 1, &chunk);
    H5Dclose(H5Dcreate2(file, "sample_offsets", H5T_STD_I64LE, space, 0, sparse, 0));
    H5Pclose(sparse);
    H5Sclose(space);
  };
  check_refused(store, "claims 1125899906842624 elements");
}

// Texts in a global heap without a checksum, as h5py writes them with libver="latest".
BOOST_AUTO_TEST_CASE(
    a_flipped_bit_in_the_newest_format_never_gets_past_an_error_message) {
  const test::ScratchFolder folder;
  flip_bits(Foreign().write(folder, H5F_LIBVER_LATEST), 1);
}

// No checksums at all.
BOOST_AUTO_TEST_CASE(a_flipped_bit_in_the_old_format_never_gets_past_an_error_message) {
  const test::ScratchFolder folder;
  flip_bits(Foreign().write(folder), 5);
}

BOOST_AUTO_TEST_CASE(a_flipped_bit_in_our_format_never_gets_past_an_error_message) {
  const test::ScratchFolder folder;
  data::TokenStoreWriter writer(folder / "own.h5", {data::Stage::kSft, "abc"});
  writer.append({{1, 2, 3}, {1, 2, 3}});
  writer.finish();
  flip_bits(folder / "own.h5", 5);
}

// The library reads free space of a wrong size in a global heap for ever.
BOOST_AUTO_TEST_CASE(a_global_heap_with_odd_free_space_is_refused) {
  const test::ScratchFolder folder;
  std::string bytes = bytes_of(Foreign().write(folder, H5F_LIBVER_LATEST));
  const size_t texts = bytes.find("sft", bytes.find("GCOL"));
  const size_t free_size = texts + 8 + 8;
  bytes.replace(free_size, 2, std::string("\xb8\0", 2));
  const std::string path = folder.write("heap.h5", bytes);
  const std::string error = test::user_error([&] { TokenStoreReader reader(path); });
  BOOST_TEST(error.find("odd free space") != error.npos, error);
}

BOOST_AUTO_TEST_CASE(a_truncated_store_never_gets_past_an_error_message) {
  const test::ScratchFolder folder;
  const std::string whole = bytes_of(Foreign().write(folder));
  for (size_t size = 0; size < whole.size(); size += 97)
    read_damaged(folder.write("cut.h5", whole.substr(0, size)));
}

BOOST_AUTO_TEST_SUITE_END()
