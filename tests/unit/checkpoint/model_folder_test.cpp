// A model folder's small files, and verification of everything a run left.
#include "mtrain/checkpoint/model_folder.hpp"

#include "mtrain/checkpoint/safetensors.hpp"
#include "mtrain/checkpoint/verify.hpp"
#include "saved.hpp"

using namespace mtrain;
using namespace mtrain::checkpoint;
using namespace mtrain::checkpoint::test;

namespace {

/// Exports two shards and two small files.
void export_model(const fs::path& folder) {
  const std::vector<TensorInfo> plan = {{"embed", {6, 4}, at::kFloat},
                                        {"norm", {5}, at::kBFloat16}};
  auto writer = SafetensorsWriter::create(folder, plan, 96);
  for (int64_t row = 0; row < 6; row += 2)
    writer.write({"embed", {6, 4}, {row, 0}, {2, 4}}, numbered({2, 4}, at::kFloat, row));
  writer.write(all_of("norm", {5}), numbered({5}, at::kBFloat16, 3));
  write_side_files(folder, {{"config.json", "{}"}, {"vocab.json", "words"}},
                   writer.finish());
}

/// The faults that all parts together find.
std::vector<std::string> faults_of(const fs::path& folder, int parts = 1) {
  std::vector<std::string> faults;
  for (int part = 0; part < parts; ++part)
    for (const auto& done : verify_folder(folder, part, parts).folders)
      faults.insert(faults.end(), done.faults.begin(), done.faults.end());
  return faults;
}

std::vector<std::string> relative(const std::vector<std::string>& paths,
                                  const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& path : paths)
    names.push_back(fs::path(path).lexically_relative(folder).string());
  return names;
}

using Names = std::vector<std::string>;
const Names kModel = {"model-00001-of-00002.safetensors",
                      "model-00002-of-00002.safetensors", "model.safetensors.index.json",
                      "config.json", "vocab.json"};

}  // namespace

BOOST_AUTO_TEST_SUITE(model_folder)

BOOST_AUTO_TEST_CASE(tokenizer_files_are_read_where_present) {
  const Scratch scratch;
  write_file(scratch / "tokenizer.json", "{}");
  write_file(scratch / "merges.txt", std::string(100'000, 'm'));
  write_file(scratch / "chat_template.jinja", "{{ x }}");
  write_file(scratch / "other.txt", "no");
  const auto files = read_tokenizer_files(scratch);
  BOOST_REQUIRE(files.size() == 3u);
  BOOST_TEST(files[0].name == "tokenizer.json");
  BOOST_TEST(files[1].text == read_file(scratch / "merges.txt"));
  BOOST_TEST(files[2].name == "chat_template.jinja");
}

// In the hub's cache every file is a link; what is written is a file.
BOOST_AUTO_TEST_CASE(links_to_small_files_are_followed_in_reading_only) {
  const Scratch scratch;
  fs::create_directory(scratch / "from");
  write_file(scratch / "blob", "other words");
  write_file(scratch / "precious", "keep me");
  fs::create_symlink("../blob", scratch / "from/vocab.json");
  export_model(scratch / "to");
  fs::remove(scratch / "to/vocab.json");
  fs::create_symlink("../precious", scratch / "to/vocab.json");
  const auto files = read_tokenizer_files(scratch / "from");
  BOOST_TEST(files.at(0).text == "other words");
  export_model(scratch / "to");
  BOOST_TEST(fs::is_regular_file(fs::symlink_status(scratch / "to/vocab.json")));
  BOOST_TEST(read_file(scratch / "precious") == "keep me");
  fs::create_symlink("nowhere", scratch / "from/merges.txt");
  refuses<UserError>([&] { read_tokenizer_files(scratch / "from"); },
                     {"merges.txt", "No such file"});
}

BOOST_AUTO_TEST_CASE(everything_of_a_run_is_read_and_named) {
  const Scratch scratch;
  const fs::path first = save(scratch, 3, 2, 0, training_groups());
  const fs::path second = save(scratch, 12, 1, 0, {kMasterGroup});
  export_model(second / "hf");
  export_model(scratch);
  write_file(scratch / "trainer_log.jsonl", "{}");
  const Verification found = verify_folder(scratch, 0, 1);
  BOOST_REQUIRE(found.folders.size() == 4u);
  for (const auto& done : found.folders)
    BOOST_TEST(done.faults.empty(), done.folder << join(done.faults, "; "));
  BOOST_TEST((found.folders[0].files ==
              Names{"manifest.json", "deck.ini", "rank-00000.h5", "rank-00001.h5"}));
  BOOST_TEST(found.folders[0].folder == first.string());
  BOOST_TEST(found.folders[1].folder == second.string());
  BOOST_TEST((found.folders[3].files == kModel));
  BOOST_TEST((relative(found.unread, scratch) == Names{"trainer_log.jsonl"}));
  // One checkpoint alone, with what was exported into it.
  const Verification one = verify_folder(second.string() + "/", 0, 1);
  BOOST_REQUIRE(one.folders.size() == 2u);
  BOOST_TEST((one.folders[1].files == kModel));
  BOOST_TEST(one.unread.empty());
}

BOOST_AUTO_TEST_CASE(every_flipped_bit_of_an_export_is_found_by_one_part) {
  const Scratch scratch;
  export_model(scratch / "m");
  BOOST_TEST(faults_of(scratch / "m", 3).empty());
  for (const std::string& name : kModel) {
    const fs::path path = scratch / "m" / name;
    for (size_t byte = 0; byte < fs::file_size(path); byte += 5) {
      flip_bit(path, byte, byte % 8);
      const auto faults = faults_of(scratch / "m", 3);
      BOOST_TEST(!faults.empty(), name << ", byte " << byte);
      for (const auto& fault : faults) BOOST_TEST(fault.find(name) != std::string::npos);
      flip_bit(path, byte, byte % 8);
    }
  }
}

BOOST_AUTO_TEST_CASE(what_is_missing_or_longer_is_found) {
  const Scratch scratch;
  const fs::path model = scratch / "m";
  for (const std::string& name : kModel) {
    export_model(model);
    write_file(model / name, read_file(model / name) + " ");
    BOOST_TEST(!faults_of(model).empty(), name);
    fs::remove(model / name);
    BOOST_TEST(!faults_of(model).empty(), name);
  }
  export_model(model);
  write_file(model / kChecksumsFile, "{}");
  BOOST_TEST(faults_of(model).size() == 1u);
}

BOOST_AUTO_TEST_CASE(damaged_checkpoints_do_not_hide_the_others) {
  const Scratch scratch;
  const fs::path first = save(scratch, 1, 1, 0, {kMasterGroup});
  const fs::path second = save(scratch, 2, 1, 0, {kMasterGroup});
  fs::remove(first / "manifest.json");
  flip_bit(second / "rank-00000.h5", fs::file_size(second / "rank-00000.h5") - 1, 3);
  const auto faults = faults_of(scratch);
  BOOST_REQUIRE(faults.size() == 2u);
  BOOST_TEST(faults[0].find("no manifest.json") != std::string::npos, faults[0]);
  BOOST_TEST(faults[1].find("rank-00000.h5") != std::string::npos, faults[1]);
}

BOOST_AUTO_TEST_CASE(where_nothing_vouches_nothing_is_read) {
  const Scratch scratch;
  write_file(scratch / "model.safetensors", "x");
  const Verification found = verify_folder(scratch, 0, 1);
  BOOST_TEST(found.folders.empty());
  BOOST_TEST((relative(found.unread, scratch) == Names{"model.safetensors"}));
  refuses<UserError>([&] { verify_folder(scratch / "none", 0, 1); }, {"none"});
}

BOOST_AUTO_TEST_SUITE_END()
