// Writing model folders: round trips, shards as transformers cuts them, incomplete
// exports.
#include <nlohmann/json.hpp>

#include "fixtures.hpp"
#include "mtrain/checkpoint/convert.hpp"
#include "mtrain/checkpoint/safetensors.hpp"

using namespace mtrain;
using namespace mtrain::checkpoint;
using namespace mtrain::checkpoint::test;
using nlohmann::json;

namespace {

std::vector<TensorInfo> small_plan() {
  return {
      {"embed", {6, 4}, at::kFloat}, {"norm", {5}, at::kBFloat16}, {"b", {}, at::kHalf}};
}

void write_all(SafetensorsWriter& writer, const std::vector<TensorInfo>& plan) {
  for (const TensorInfo& info : plan)
    writer.write(all_of(info.name, info.shape), numbered(info.shape, info.dtype, 3));
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder))
    names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

/// Copies a model tensor by tensor, in the order of a transformers state dict if known.
void copy_model(const TensorSource& from, const fs::path& to, int64_t max_shard_bytes,
                const std::vector<TensorInfo>& plan, int64_t chunk_bytes) {
  auto writer = SafetensorsWriter::create(to, plan, max_shard_bytes);
  convert(from, plan, {0, 1, chunk_bytes, {}},
          [&](const Box& box, const at::Tensor& data) { writer.write(box, data); });
  writer.finish();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(safetensors_write)

BOOST_AUTO_TEST_CASE(all_dtypes_and_ranks_come_back) {
  const Scratch scratch;
  const auto plan = small_plan();
  auto writer = SafetensorsWriter::create(scratch / "m", plan, 1000);
  write_all(writer, plan);
  BOOST_TEST(!fs::exists(scratch / "m/model.safetensors"));
  writer.finish();
  BOOST_TEST((names_in(scratch / "m") == std::vector<std::string>{"model.safetensors"}));
  const auto source = open_safetensors(scratch / "m");
  for (const TensorInfo& info : plan)
    BOOST_TEST(same_bytes(source->read(all_of(info.name, info.shape)),
                          numbered(info.shape, info.dtype, 3)));
}

BOOST_AUTO_TEST_CASE(a_copied_single_file_is_byte_identical) {
  const Scratch scratch;
  const fs::path model = golden_model("tiny-qwen3");
  const auto source = open_safetensors(model);
  copy_model(*source, scratch / "m", 1 << 30, source->tensors(), 1000);
  BOOST_TEST((read_file(scratch / "m/model.safetensors") ==
              read_file(model / "model.safetensors")));
}

BOOST_AUTO_TEST_CASE(a_copied_sharded_model_is_byte_identical) {
  const Scratch scratch;
  const fs::path model = golden_model("tiny-qwen3-untied-bf16");
  const auto source = open_safetensors(model);
  // The order of the module: embedding, layers, norm, head; the shard size it was made
  // with lies between one layer (88 kB) and two and a half.
  std::vector<TensorInfo> plan = source->tensors();
  std::rotate(plan.begin(), plan.begin() + 1, plan.end());
  copy_model(*source, scratch / "m", 147'000, plan, 1 << 16);
  BOOST_TEST(names_in(scratch / "m").size() == 5);
  const auto copy = open_safetensors(scratch / "m");
  for (const TensorInfo& info : source->tensors())
    BOOST_TEST(same_bytes(copy->read(all_of(info.name, info.shape)),
                          source->read(all_of(info.name, info.shape))));
  const json index = json::parse(read_file(scratch / "m/model.safetensors.index.json"));
  const json original = json::parse(read_file(model / "model.safetensors.index.json"));
  BOOST_TEST((index["metadata"] == original["metadata"]));
}

BOOST_AUTO_TEST_CASE(shards_fill_in_order_and_large_tensors_stand_alone) {
  const Scratch scratch;
  const std::vector<TensorInfo> plan = {{"a", {2}, at::kFloat},
                                        {"big", {9}, at::kFloat},
                                        {"c", {3}, at::kFloat},
                                        {"d", {1}, at::kFloat},
                                        {"e", {5}, at::kFloat}};
  auto writer = SafetensorsWriter::create(scratch / "m", plan, 20);
  write_all(writer, plan);
  writer.finish();
  const json map =
      json::parse(read_file(scratch / "m/model.safetensors.index.json"))["weight_map"];
  BOOST_TEST(map["big"] == "model-00001-of-00004.safetensors");
  BOOST_TEST(map["a"] == "model-00002-of-00004.safetensors");
  BOOST_TEST(map["c"] == "model-00002-of-00004.safetensors");
  BOOST_TEST(map["d"] == "model-00003-of-00004.safetensors");
  BOOST_TEST(map["e"] == "model-00004-of-00004.safetensors");
}

BOOST_AUTO_TEST_CASE(ranks_write_uneven_boxes_in_any_order) {
  const Scratch scratch;
  const std::vector<TensorInfo> plan = {{"w", {7, 5, 3}, at::kBFloat16},
                                        {"n", {9}, at::kFloat}};
  const at::Tensor w = numbered({7, 5, 3}, at::kBFloat16, 0),
                   n = numbered({9}, at::kFloat, 7);
  auto first = SafetensorsWriter::create(scratch / "m", plan, 200);
  auto second = SafetensorsWriter::join(scratch / "m", plan, 200);
  const auto put = [&](SafetensorsWriter& writer, const at::Tensor& whole,
                       const Box& box) { writer.write(box, slice(whole, box)); };
  put(second, w, {"w", {7, 5, 3}, {0, 2, 1}, {7, 3, 2}});
  put(first, n, {"n", {9}, {4}, {5}});
  put(first, w, {"w", {7, 5, 3}, {0, 0, 0}, {7, 2, 3}});
  put(second, n, {"n", {9}, {0}, {4}});
  put(first, w, {"w", {7, 5, 3}, {0, 2, 0}, {7, 3, 1}});
  const std::string theirs = second.summary();
  first.commit({first.summary(), theirs});
  const auto source = open_safetensors(scratch / "m");
  BOOST_TEST(same_bytes(source->read(all_of("w", {7, 5, 3})), w));
  BOOST_TEST(same_bytes(source->read(all_of("n", {9})), n));
}

BOOST_AUTO_TEST_CASE(incomplete_exports_are_refused_and_listed) {
  const Scratch scratch;
  const auto plan = small_plan();
  auto writer = SafetensorsWriter::create(scratch / "m", plan, 1000);
  writer.write({"embed", {6, 4}, {0, 0}, {6, 3}}, at::zeros({6, 3}));
  refuses<Error>([&] { writer.finish(); },
                 {"3 tensors", "embed[0:6, 3:4] was not written", "norm[0:5]", "b[]"});
  BOOST_TEST(!holds_safetensors(scratch / "m"));
  write_all(writer, plan);
  refuses<Error>([&] { writer.finish(); }, {"embed was written more than once"});
  BOOST_TEST(!holds_safetensors(scratch / "m"));
}

BOOST_AUTO_TEST_CASE(wrong_pieces_are_refused) {
  const Scratch scratch;
  auto writer = SafetensorsWriter::create(scratch / "m", small_plan(), 1000);
  const Box embed = all_of("embed", {6, 4});
  refuses<Error>([&] { writer.write(all_of("x", {1}), at::zeros({1})); },
                 {"x", "not planned"});
  refuses<Error>(
      [&] {
        writer.write(all_of("embed", {6, 5}), at::zeros({6, 5}));
      },
      {"embed"});
  refuses<Error>(
      [&] {
        writer.write({"embed", {6, 4}, {1, 0}, {6, 4}}, at::zeros({6, 4}));
      },
      {"fit"});
  refuses<Error>(
      [&] {
        writer.write(embed, at::zeros({6, 4}, at::kHalf));
      },
      {"embed", "dtype"});
  refuses<Error>([&] { writer.write(embed, at::zeros({4, 6}).t()); }, {"embed"});
  refuses<Error>([&] { writer.write(embed, at::zeros({24})); }, {"embed"});
}

BOOST_AUTO_TEST_CASE(a_second_rank_with_another_plan_is_refused) {
  const Scratch scratch;
  auto first = SafetensorsWriter::create(scratch / "m", {{"a", {4}, at::kFloat}}, 100);
  const std::vector<TensorInfo> other = {{"a", {5}, at::kFloat}};
  BOOST_CHECK_THROW(SafetensorsWriter::join(scratch / "m", other, 100), Error);
  BOOST_CHECK_THROW(SafetensorsWriter::join(scratch / "none", other, 100), Error);
}

BOOST_AUTO_TEST_CASE(an_older_export_is_replaced_whole) {
  const Scratch scratch;
  const auto plan = small_plan();
  const auto save = [&](int64_t shard_bytes) {
    auto writer = SafetensorsWriter::create(scratch / "m", plan, shard_bytes);
    write_all(writer, plan);
    writer.finish();
    return names_in(scratch / "m");
  };
  BOOST_TEST(save(10).size() == 4);
  BOOST_TEST(save(100).size() == 3);
  BOOST_TEST((save(1000) == std::vector<std::string>{"model.safetensors"}));
  BOOST_TEST(save(10).size() == 4);
  BOOST_TEST(open_safetensors(scratch / "m")->tensors().size() == 3);
}

BOOST_AUTO_TEST_CASE(data_are_aligned_whatever_the_dtypes) {
  const Scratch scratch;
  const std::vector<TensorInfo> plan = {{"a", {3}, at::kBFloat16},
                                        {"b", {2}, at::kFloat}};
  auto writer = SafetensorsWriter::create(scratch / "m", plan, 1000);
  write_all(writer, plan);
  writer.finish();
  const std::string bytes = read_file(scratch / "m/model.safetensors");
  uint64_t length;
  std::memcpy(&length, bytes.data(), 8);
  BOOST_TEST(length % 8 == 0);
  const json header = json::parse(bytes.substr(8, length));
  BOOST_TEST(header["b"]["data_offsets"][0] == 0);
  BOOST_TEST((header["__metadata__"] == json{{"format", "pt"}}));
}

BOOST_AUTO_TEST_CASE(an_unwritable_place_is_named) {
  refuses<Error>([] { SafetensorsWriter::create("/proc/none/m", small_plan(), 100); },
                 {"/proc/none/m", "errno"});
}

BOOST_AUTO_TEST_SUITE_END()
