// Bytes of a token store that are not those written are never taken for tokens, whether
// they changed before it was opened or while it is read.
#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>
#include <random>

#include "fixtures.hpp"
#include "mtrain/base/error.hpp"
#include "mtrain/data/token_store.hpp"

using namespace mtrain;
using data::Sample;
using data::Stage;
using data::TokenStoreReader;
using data::TokenStoreWriter;
namespace fs = std::filesystem;

namespace {

constexpr int32_t kLength = 20001;  // its tokens fill more than one piece

Sample sample_of(int32_t first) {
  Sample sample;
  for (int32_t i = 0; i < kLength; ++i) {
    sample.input_ids.push_back(first + i % 1000);
    sample.labels.push_back(i % 2 ? data::kIgnoreLabel : first + i % 1000);
  }
  return sample;
}

std::string write_store(const test::ScratchFolder& folder, const std::string& name,
                        int32_t first) {
  const std::string path = folder / name;
  TokenStoreWriter writer(path, {Stage::kSft, "hash", "{\"cutoff_len\":\"9\"}"});
  for (int32_t i = 0; i < 3; ++i) {
    writer.append(sample_of(first + i));
    writer.end_row();
  }
  writer.finish();
  return path;
}

std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Of the file itself, under whoever has it open.
void overwrite(const std::string& path, const std::string& bytes) {
  std::fstream(path, std::ios::binary | std::ios::in | std::ios::out) << bytes;
}

void check_all(const TokenStoreReader& store, int32_t first) {
  BOOST_TEST(store.num_samples() == 3);
  for (int32_t i = 0; i < 3; ++i) {
    const Sample found = store.read(i), expected = sample_of(first + i);
    BOOST_TEST((found.input_ids == expected.input_ids));
    BOOST_TEST((found.labels == expected.labels));
  }
}

void check_fails(const TokenStoreReader& store, const std::string& what) {
  const std::string error = test::user_error([&] { store.read(2); });
  BOOST_TEST(error.find(store.path()) != error.npos, error);
  BOOST_TEST(error.find(what) != error.npos, "'" << error << "' lacks '" << what << "'");
}

}  // namespace

BOOST_AUTO_TEST_SUITE(store_checksums)

BOOST_AUTO_TEST_CASE(flipped_bytes_are_refused_wherever_they_count) {
  const test::ScratchFolder folder;
  const std::string whole = bytes_of(write_store(folder, "a.h5", 100));
  std::mt19937 random(3);
  int refused = 0;
  for (int round = 0; round < 400; ++round) {
    std::string damaged = whole;
    damaged[random() % damaged.size()] ^= static_cast<char>(1u << random() % 8);
    const std::string path = folder.write("damaged.h5", damaged);
    try {
      const TokenStoreReader store(path);
      BOOST_TEST(store.attributes().settings == "{\"cutoff_len\":\"9\"}");
      store.scan();
      check_all(store, 100);
    } catch (const UserError&) {
      ++refused;
    }
  }
  // Nearly all of the file is tokens and labels.
  BOOST_TEST(refused > 380);
}

BOOST_AUTO_TEST_CASE(what_is_damaged_is_named) {
  const test::ScratchFolder folder;
  std::string bytes = bytes_of(write_store(folder, "a.h5", 100));
  // The fourth element of the second piece of labels: masked, at an odd place.
  const std::string labels(reinterpret_cast<const char*>(sample_of(100).labels.data()),
                           kLength * sizeof(int32_t));
  const size_t begin = bytes.find(labels);
  BOOST_REQUIRE(begin != bytes.npos);
  bytes[begin + (1 << 16) + 12] ^= 1;
  const TokenStoreReader store(folder.write("b.h5", bytes));
  const std::string error = test::user_error([&] { store.read(0); });
  BOOST_TEST(
      error.find("b.h5: elements 16384 to 32767 of labels do not match") != error.npos,
      error);
  BOOST_TEST(test::user_error([&] { store.scan(); }) == error);
  BOOST_TEST((store.read(2).input_ids == sample_of(102).input_ids));
}

BOOST_AUTO_TEST_CASE(a_store_rewritten_while_it_is_read_is_refused) {
  const test::ScratchFolder folder;
  const std::string path = write_store(folder, "a.h5", 100);
  const std::string other = bytes_of(write_store(folder, "b.h5", 200));
  const TokenStoreReader store(path);
  check_all(store, 100);
  overwrite(path, bytes_of(path));  // the same again does no harm
  check_all(store, 100);
  overwrite(path, other);
  check_fails(store, "do not match their checksum");
}

BOOST_AUTO_TEST_CASE(a_store_truncated_while_it_is_read_is_refused) {
  const test::ScratchFolder folder;
  const std::string path = write_store(folder, "a.h5", 100);
  const TokenStoreReader store(path);
  fs::resize_file(path, fs::file_size(path) / 2);
  check_fails(store, "changed while it is read: it has ");
}

// As mprep does: readers keep the file they opened.
BOOST_AUTO_TEST_CASE(a_store_replaced_while_it_is_read_is_still_read) {
  const test::ScratchFolder folder;
  const TokenStoreReader store(write_store(folder, "a.h5", 100));
  write_store(folder, "a.h5", 200);
  check_all(store, 100);
  check_all(TokenStoreReader(folder / "a.h5"), 200);
}

BOOST_AUTO_TEST_CASE(the_content_names_the_store) {
  const test::ScratchFolder folder;
  const TokenStoreReader a(write_store(folder, "a.h5", 100));
  BOOST_TEST(a.content_id().size() == 16u);
  BOOST_TEST(a.content_id() ==
             TokenStoreReader(write_store(folder, "b.h5", 100)).content_id());
  BOOST_TEST(a.content_id() !=
             TokenStoreReader(write_store(folder, "c.h5", 101)).content_id());
}

BOOST_AUTO_TEST_CASE(ids_beyond_the_limit_are_refused) {
  const test::ScratchFolder folder;
  TokenStoreReader store(write_store(folder, "a.h5", 100));
  store.limit_ids(102 + 1000);
  check_all(store, 100);
  store.limit_ids(102 + 999);
  check_fails(store, "input_ids[41001] is 1101, beyond the model's vocabulary of 1101");
}

BOOST_AUTO_TEST_SUITE_END()
