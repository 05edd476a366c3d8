// The HDF5 reader sees in files of every dialect what the library wrote.
#define BOOST_TEST_MODULE storage
#include <hdf5.h>

#include <boost/test/unit_test.hpp>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <numeric>

#include "hdf5_bytes.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/storage/hdf5_file.hpp"

using namespace mtrain;
using namespace mtrain::storage;

namespace {

const std::vector<H5F_libver_t> kVersions = {H5F_LIBVER_EARLIEST, H5F_LIBVER_V18,
                                             H5F_LIBVER_V110};

void put_integer(hid_t object, const std::string& name, hid_t type, int64_t value) {
  const hid_t space = H5Screate(H5S_SCALAR);
  const hid_t made = H5Acreate2(object, name.c_str(), type, space, 0, 0);
  H5Awrite(made, H5T_NATIVE_INT64, &value);
  H5Aclose(made);
  H5Sclose(space);
}

void put_text(hid_t object, const char* name, size_t size, const char* value) {
  const hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
  H5Tset_size(type, size);
  const hid_t made = H5Acreate2(object, name, type, space, 0, 0);
  if (size == H5T_VARIABLE)
    H5Awrite(made, type, &value);
  else
    H5Awrite(made, type, value);
  H5Aclose(made);
  H5Sclose(space);
  H5Tclose(type);
}

/// The numbers 0, 1, ... ; `chunk` 0 for contiguous, `limit` 0 for a fixed size.
void put_column(hid_t object, const std::string& name, hsize_t size, hsize_t chunk = 0,
                hsize_t limit = 0, bool early = false) {
  std::vector<int64_t> values(size);
  std::iota(values.begin(), values.end(), 0);
  const hid_t space = H5Screate_simple(1, &size, limit > 0 ? &limit : nullptr);
  const hid_t layout = H5Pcreate(H5P_DATASET_CREATE);
  if (chunk > 0) H5Pset_chunk(layout, 1, &chunk);
  if (early) H5Pset_alloc_time(layout, H5D_ALLOC_TIME_EARLY);
  const hid_t made = H5Dcreate2(object, name.c_str(), H5T_STD_I32LE, space, 0, layout, 0);
  BOOST_REQUIRE(made >= 0);
  H5Dwrite(made, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, 0, values.data());
  H5Dclose(made);
  H5Pclose(layout);
  H5Sclose(space);
}

/// The bytes of a file that `fill` writes with the library, newest format `version`.
std::string written(H5F_libver_t version, const std::function<void(hid_t)>& fill) {
  const auto path = std::filesystem::temp_directory_path() / cat("hdf5_test.", getpid());
  const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
  H5Pset_libver_bounds(access, version,
                       version == H5F_LIBVER_EARLIEST ? H5F_LIBVER_LATEST : version);
  const hid_t file = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access);
  BOOST_REQUIRE(file >= 0);
  fill(file);
  H5Fclose(file);
  H5Pclose(access);
  std::ifstream in(path, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(in), {}};
  std::filesystem::remove(path);
  return bytes;
}

Hdf5File open(const std::string& bytes) {
  return Hdf5File(static_cast<int64_t>(bytes.size()),
                  [&](int64_t at, void* to, size_t count) {
                    std::memcpy(to, bytes.data() + at, count);
                  });
}

const Hdf5Object& child(Hdf5File& file, const Hdf5Object& group,
                        const std::string& name) {
  for (const Hdf5Link& link : group.links.value())
    if (link.name == name) return file.object(link);
  throw Error("no " + name);
}

/// The column holds the numbers 0, 1, ... up to `size`.
void check_column(const std::string& bytes, Hdf5File& file, const Hdf5Object& object,
                  int64_t size) {
  const Hdf5Column column = file.column(object.dataset.value());
  BOOST_TEST(column.size == size);
  BOOST_REQUIRE(column.is_complete());
  int32_t next = 0;
  column.for_each_stretch(0, size, [&](int64_t position, int64_t count) {
    for (int64_t at = position; at < position + count; at += 4) {
      int32_t value = 0;
      std::memcpy(&value, bytes.data() + at, 4);
      if (value != next++) BOOST_ERROR("element " << next - 1 << " is " << value);
    }
  });
  BOOST_TEST(next == size);
}

}  // namespace

BOOST_AUTO_TEST_CASE(attributes_of_all_forms) {
  for (const H5F_libver_t version : kVersions) {
    const std::string bytes = written(version, [](hid_t file) {
      put_text(file, "long", H5T_VARIABLE, "in the global heap");
      put_text(file, "empty", H5T_VARIABLE, "");
      put_text(file, "short", 8, "fixed\0\0");
      put_integer(file, "i64", H5T_STD_I64LE, -7);
      put_integer(file, "big", H5T_STD_I32BE, -7);
      put_integer(file, "u8", H5T_STD_U8LE, 200);
    });
    Hdf5File file = open(bytes);
    const auto& attributes = file.root().attributes;
    BOOST_TEST(attributes.size() == 6);
    BOOST_TEST(file.text(attributes.at("long")) == "in the global heap");
    BOOST_TEST(file.text(attributes.at("empty")) == "");
    BOOST_TEST(file.text(attributes.at("short")) == "fixed");
    for (const char* name : {"i64", "big"})
      BOOST_TEST(file.integers(attributes.at(name)) == std::vector<int64_t>{-7});
    BOOST_TEST(file.integers(attributes.at("u8")) == std::vector<int64_t>{200});
    BOOST_CHECK_THROW(file.text(attributes.at("u8")), Error);
    BOOST_CHECK_THROW(file.integers(attributes.at("long")), Error);
  }
}

BOOST_AUTO_TEST_CASE(many_links_and_attributes) {
  for (const H5F_libver_t version : kVersions)
    for (const int count : {0, 3, 9, 300, 2000}) {
      const std::string bytes = written(version, [&](hid_t file) {
        const hid_t group = H5Gcreate2(file, "g", 0, 0, 0);
        for (int i = 0; i < count; ++i) {
          put_column(group, cat("model.layers.", i, ".weight"), 0);
          if (i < 300) put_integer(group, cat("a", i), H5T_STD_I32LE, i);
        }
        H5Lcreate_soft("/g", file, "soft", 0, 0);
        H5Gclose(group);
      });
      Hdf5File file = open(bytes);
      const Hdf5Object& group = child(file, file.root(), "g");
      BOOST_TEST(group.links->size() == static_cast<size_t>(count));
      BOOST_TEST(group.attributes.size() == static_cast<size_t>(std::min(count, 300)));
      for (int i = 0; i < count; i += 7) {
        const auto& dataset =
            child(file, group, cat("model.layers.", i, ".weight")).dataset;
        BOOST_TEST(dataset.has_value());
        if (i < 300)
          BOOST_TEST(file.integers(group.attributes.at(cat("a", i))).at(0) == i);
      }
      BOOST_TEST(!file.root().links->back().object.has_value());
    }
}

BOOST_AUTO_TEST_CASE(columns_of_all_layouts) {
  for (const H5F_libver_t version : kVersions) {
    const std::string bytes = written(version, [](hid_t file) {
      put_column(file, "plain", 1000);
      put_column(file, "empty", 0, 16, H5S_UNLIMITED);
      put_column(file, "single", 50, 50);
      put_column(file, "implicit", 1000, 7, 0, true);
      put_column(file, "fixed", 1000, 7);
      put_column(file, "pages", 5000, 1);
      put_column(file, "limited", 1000, 64, 3000);
      put_column(file, "growing", 5000, 3, H5S_UNLIMITED);
    });
    Hdf5File file = open(bytes);
    for (const auto& [name, size] : {std::pair{"plain", 1000},
                                     {"empty", 0},
                                     {"single", 50},
                                     {"implicit", 1000},
                                     {"fixed", 1000},
                                     {"pages", 5000},
                                     {"limited", 1000},
                                     {"growing", 5000}})
      check_column(bytes, file, child(file, file.root(), name), size);
  }
}

// So many chunks that blocks of the index are in pages.
BOOST_AUTO_TEST_CASE(a_column_of_very_many_chunks) {
  const std::string bytes = written(H5F_LIBVER_V110, [](hid_t file) {
    put_column(file, "far", 170000, 1, H5S_UNLIMITED);
  });
  Hdf5File file = open(bytes);
  check_column(bytes, file, child(file, file.root(), "far"), 170000);
}

// Written by h5py 3.16 over HDF5 2.0 with libver="latest".
BOOST_AUTO_TEST_CASE(a_file_of_a_later_library) {
  std::ifstream in(MTRAIN_SOURCE_DIR "/tests/unit/storage/h5py_latest.h5",
                   std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(in), {}};
  Hdf5File file = open(bytes);
  BOOST_TEST(file.text(file.root().attributes.at("format")) == "mtrain-tokens");
  const Hdf5Column column =
      file.column(child(file, file.root(), "input_ids").dataset.value());
  BOOST_TEST(column.size == 6);
  BOOST_TEST(column.is_complete());
}

BOOST_AUTO_TEST_CASE(a_byte_belongs_to_one_structure) {
  hdf5::Bytes bytes(100, [](int64_t, void*, size_t) {});
  bytes.claim(10, 10, "a");
  bytes.claim(20, 5, "b");
  bytes.claim(0, 10, "c");
  for (const auto& [at, size] : {std::pair{10, 10}, {19, 1}, {5, 60}, {24, 1}, {9, 2}})
    BOOST_CHECK_THROW(
        bytes.claim(static_cast<uint64_t>(at), static_cast<uint64_t>(size), "d"), Error);
  BOOST_CHECK_THROW(bytes.claim(99, 2, "e"), Error);
  BOOST_CHECK_THROW(bytes.claim(UINT64_MAX, 2, "f"), Error);
  bytes.claim(25, 75, "g");
}

// Values of Jenkins' own driver5() for hashlittle.
BOOST_AUTO_TEST_CASE(lookup3_is_jenkins_function) {
  BOOST_TEST(hdf5::lookup3("") == 0xdeadbeef);
  BOOST_TEST(hdf5::lookup3("Four score and seven years ago") == 0x17770551);
}
