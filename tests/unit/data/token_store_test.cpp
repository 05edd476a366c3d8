// The token store: what is written is read, and a store is there whole or not at all.
#include "mtrain/data/token_store.hpp"

#include <boost/test/unit_test.hpp>

#include "fixtures.hpp"

using namespace mtrain;
using data::Sample;
using data::Stage;
using data::TokenStoreReader;
using data::TokenStoreWriter;

namespace {

Sample sample_of(int32_t first, int32_t count) {
  Sample sample;
  for (int32_t i = 0; i < count; ++i) {
    sample.input_ids.push_back(first + i);
    sample.labels.push_back(i % 3 == 0 ? data::kIgnoreLabel : first + i);
  }
  return sample;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(token_store)

BOOST_AUTO_TEST_CASE(samples_come_back_as_written) {
  const test::ScratchFolder folder;
  const std::string path = folder / "a.h5";
  TokenStoreWriter writer(path, {Stage::kSft, "0123abcd"});
  for (const int32_t length : {5, 0, 1, 7}) writer.append(sample_of(10 * length, length));
  BOOST_TEST(writer.num_samples() == 4);
  writer.finish();
  const TokenStoreReader reader(path);
  BOOST_TEST((reader.attributes().stage == Stage::kSft));
  BOOST_TEST(reader.attributes().source_hash == "0123abcd");
  BOOST_TEST(reader.num_samples() == 4);
  BOOST_TEST(reader.num_tokens() == 13);
  BOOST_TEST(reader.max_sample_length() == 7);
  BOOST_TEST(!reader.packed());
  BOOST_TEST(reader.num_rows() == 4);
  for (int64_t i = 3; i >= 0; --i) {
    const auto length = static_cast<int32_t>(reader.sample_length(i));
    const Sample expected = sample_of(10 * length, length);
    const Sample found = reader.read(i);
    BOOST_TEST(found.input_ids == expected.input_ids);
    BOOST_TEST(found.labels == expected.labels);
    BOOST_TEST(reader.trained_positions(i) == data::trained_positions(expected.labels));
  }
}

BOOST_AUTO_TEST_CASE(samples_cross_the_chunks_of_the_file) {
  const test::ScratchFolder folder;
  const std::string path = folder / "big.h5";
  TokenStoreWriter writer(path, {Stage::kPt, ""});
  for (int32_t i = 0; i < 9; ++i) writer.append(sample_of(i, 150001));
  writer.finish();
  const TokenStoreReader reader(path);
  BOOST_TEST(reader.num_tokens() == 9 * 150001);
  BOOST_TEST(reader.attributes().source_hash == "");
  for (int32_t i = 0; i < 9; ++i)
    BOOST_TEST((reader.read(i).input_ids == sample_of(i, 150001).input_ids));
}

BOOST_AUTO_TEST_CASE(the_first_label_and_masked_ones_are_not_trained) {
  BOOST_TEST(data::trained_positions(std::vector<int32_t>{}) == 0);
  BOOST_TEST(data::trained_positions(std::vector<int32_t>{4}) == 0);
  BOOST_TEST(data::trained_positions(std::vector<int32_t>{4, 5, -100, 6}) == 2);
}

BOOST_AUTO_TEST_CASE(a_scan_finds_the_largest_id_and_counts_targets_by_sample) {
  const test::ScratchFolder folder;
  const std::string path = folder / "a.h5";
  TokenStoreWriter writer(path, {Stage::kSft, ""});
  writer.append({{7, 3, 9}, {7, 3, -100}});
  writer.append({{}, {}});
  writer.append({{1, 2}, {1, -100}});
  writer.append({{1, 12, 2, 3}, {-100, 12, 2, 700}});
  writer.finish();
  const data::StoreScan scan = TokenStoreReader(path).scan();
  BOOST_TEST(scan.max_token_id == 700);
  BOOST_TEST(scan.tokens == 9);
  BOOST_TEST(scan.trained_positions == 4);
  BOOST_TEST(scan.trainable_samples == 2);
}

BOOST_AUTO_TEST_CASE(a_store_without_samples_can_be_read) {
  const test::ScratchFolder folder;
  TokenStoreWriter writer(folder / "a.h5", {Stage::kPt, ""});
  writer.finish();
  const TokenStoreReader reader(folder / "a.h5");
  BOOST_TEST(reader.num_samples() == 0);
  BOOST_TEST(reader.max_token_id() == -1);
}

BOOST_AUTO_TEST_CASE(rows_hold_the_samples_packed_into_them) {
  const test::ScratchFolder folder;
  TokenStoreWriter writer(folder / "a.h5", {Stage::kSft, ""});
  for (const int32_t samples : {2, 1, 3}) {
    for (int32_t i = 0; i < samples; ++i) writer.append(sample_of(i, 4));
    writer.end_row();
  }
  writer.finish();
  const TokenStoreReader reader(folder / "a.h5");
  BOOST_TEST(reader.packed());
  BOOST_TEST(reader.num_rows() == 3);
  BOOST_TEST((reader.row_samples(0) == std::pair<int64_t, int64_t>(0, 2)));
  BOOST_TEST((reader.row_samples(1) == std::pair<int64_t, int64_t>(2, 3)));
  BOOST_TEST((reader.row_samples(2) == std::pair<int64_t, int64_t>(3, 6)));
}

BOOST_AUTO_TEST_CASE(an_unfinished_store_leaves_nothing_and_spares_the_old_one) {
  const test::ScratchFolder folder;
  {
    TokenStoreWriter writer(folder / "a.h5", {Stage::kPt, "old"});
    writer.append(sample_of(1, 3));
    writer.finish();
  }
  {
    TokenStoreWriter writer(folder / "a.h5", {Stage::kPt, "new"});
    writer.append(sample_of(5, 3));
    BOOST_TEST(folder.files().size() == 2u);
  }
  BOOST_TEST(folder.files() == (std::vector<std::string>{"a.h5"}));
  BOOST_TEST(TokenStoreReader(folder / "a.h5").attributes().source_hash == "old");
}

BOOST_AUTO_TEST_CASE(a_folder_that_cannot_be_written_is_named) {
  const test::ScratchFolder folder;
  const std::string error = test::user_error([&] {
    TokenStoreWriter(folder / "none/a.h5", {Stage::kPt, ""});
  });
  BOOST_TEST(error.find("none/a.h5") != error.npos, error);
  BOOST_TEST(error.find("folder that exists") != error.npos, error);
}

BOOST_AUTO_TEST_SUITE_END()
