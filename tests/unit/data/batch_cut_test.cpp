// Batches of the reference's workers, and parts of whole batches.
#include "batch_cut.hpp"

#include <boost/test/unit_test.hpp>

#include "fixtures.hpp"
#include "mtrain/data/token_store.hpp"

using namespace mtrain;
using namespace mtrain::data;
using Rows = std::vector<int64_t>;

namespace {

Rows ends(const BatchCut& cut) {
  Rows all;
  for (int64_t row = 0; row < cut.rows(); row = all.back())
    all.push_back(cut.end_of_batch(row));
  return all;
}

/// Texts of 3 tokens each with their end, as blocks of 4; the k-th begins with byte k.
struct Texts {
  test::ScratchFolder folder;
  explicit Texts(int count) {
    test::write_small_tokenizer(folder);
    folder.write("dataset_info.json",
                 R"({"prose": {"file_name": "p.txt", "columns": {"prompt": "text"}}})");
    std::string lines;
    for (int i = 0; i < count; ++i) lines += std::string(1, 'A' + i) + "z\n";
    folder.write("p.txt", lines);
  }
  PrepareOptions options(int64_t workers) const {
    PrepareOptions options = test::sft_options(folder, "prose");
    options.stage = Stage::kPt;
    options.cutoff_len = 4;
    options.preprocessing_num_workers = workers;
    return options;
  }
};

// The blocks as text, ends of texts as a dot.
std::string blocks(const PrepareOptions& options) {
  prepare(options);
  const TokenStoreReader store(options.output_path);
  const Tokenizer tokenizer = Tokenizer::load(options.tokenizer_dir);
  std::string all;
  for (int64_t i = 0; i < store.num_samples(); ++i) {
    for (const int32_t id : store.read(i).input_ids)
      all += id == *tokenizer.token_id("<|im_end|>")
                 ? "."
                 : tokenizer.decode({&id, 1}, SpecialTokens::kKeep);
    all += " ";
  }
  return all;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(batch_cuts)

BOOST_AUTO_TEST_CASE(each_worker_batches_its_own_run) {
  BOOST_TEST(ends({10, 1, 4}) == (Rows{4, 8, 10}), boost::test_tools::per_element());
  BOOST_TEST(ends({10, 3, 4}) == (Rows{4, 7, 10}), boost::test_tools::per_element());
  BOOST_TEST(ends({10, 3, 3}) == (Rows{3, 4, 7, 10}), boost::test_tools::per_element());
  BOOST_TEST(ends({3, 8, 100}) == (Rows{1, 2, 3}), boost::test_tools::per_element());
  BOOST_TEST(ends({3, 1, INT64_MAX}) == (Rows{3}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(parts_are_whole_batches) {
  BOOST_TEST(BatchCut(10, 1, 4).parts(1) == (Rows{0, 4, 8}),
             boost::test_tools::per_element());
  BOOST_TEST(BatchCut(10, 3, 3).parts(4) == (Rows{0, 4}),
             boost::test_tools::per_element());
  BOOST_TEST(BatchCut(10, 3, 3).parts(100) == (Rows{0}),
             boost::test_tools::per_element());
}

// The blocks are those of datasets.map(num_proc=N) on the same lengths.
BOOST_AUTO_TEST_CASE(workers_of_the_reference_cut_blocks_by_themselves) {
  const Texts texts(10);
  BOOST_TEST(blocks(texts.options(1)) == "Az.B z.Cz .Dz. Ez.F z.Gz .Hz. Iz.J ");
  BOOST_TEST(blocks(texts.options(3)) == "Az.B z.Cz .Dz. Ez.F z.Gz Hz.I z.Jz ");
  BOOST_TEST(blocks(texts.options(4)) == "Az.B z.Cz Dz.E z.Fz Gz.H Iz.J ");
}

BOOST_AUTO_TEST_CASE(workers_change_nothing_where_nothing_is_packed) {
  const Texts texts(10);
  PrepareOptions loose = texts.options(1);
  loose.packing = false;
  const std::string hash = source_hash(loose);
  loose.preprocessing_num_workers = 3;
  BOOST_TEST(source_hash(loose) == hash);
  BOOST_TEST(source_hash(texts.options(3)) != source_hash(texts.options(1)));
  const std::string refused = test::user_error([&] { prepare(texts.options(16)); });
  BOOST_TEST(refused.find("none of the 10 records") != refused.npos, refused);
}

BOOST_AUTO_TEST_SUITE_END()
